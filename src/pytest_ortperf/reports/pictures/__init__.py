"""Pictures of errors as fragments of HTML that need nothing from outside."""
