
BprobabilitiesJ(Âûq:ƒ®:Ï:ó‹5;]Ó:¢ÌA:ÂZ;³€‚>¨Ï;?LÆZ9