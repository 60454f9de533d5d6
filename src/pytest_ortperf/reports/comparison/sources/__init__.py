"""Where the sides of a comparison come from: files of this plugin and of others."""
