
BprobabilitiesJ(áûÍ8Û&:-)¹:g¸<å¼292q):æ)8|ç=7w\?9!z9