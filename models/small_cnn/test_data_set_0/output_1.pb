
BprobabilitiesJ('-›>Ši©77ô>¨Áè:.k9É¯':€š9ß:^>Á;ñ8ŽZw2