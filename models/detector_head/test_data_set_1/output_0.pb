/BboxesJðR?BÛÂHBKªiBEÜ[B‘ÒA*KBdLB¥ÙBø!¥?÷AÛ_A|Î0B¸ôä@ˆuA¨~GBô¨7B8aºAÃ»A‰ø
Bìà!B´Ô€Aþq\BN¦ÂAjÑ{B¯Y"AÔôhB ‘ÇAèšŽB’çjB¨%á@æ]BdPTAíÈBÞ~mBcù!Bd€B €ð@"D$B¾Ò&BÐEqB>´BÊ¹ßAPBS¤XB(ãÁr`µÀ¹A„Ù×A™7BÄÆÀ+õ;Bäf±AÄtÇAˆõAbB$àBú#<BLìA/‚B\B €ð@"D$B¾Ò&BÐEqBÅâÀ!`Bªì@Î{BcÇBI¬yAïW%B^h³AR?BÛÂHBKªiBEÜ[B¥*ñ@ÁÀN9SAˆ¢@´Ô€Aþq\BN¦ÂAjÑ{Bâ
¥À–jNA+_A:™!Bß¾B7…6B¯ÌTB”‚B@7¾ˆ&U@Îß¢Aã½AêZÀjB°o<A›ŸXBÀÁ?½e].A*í@IC‡AW/B˜àYB[#OB,œBØfÌAlñAOùA”vÏA´Ô€Aþq\BN¦ÂAjÑ{Bí+ØAëAô1#B±røA’çjB¨%á@æ]BdPTA`°%¿,“ÍA"A [BþfÇ@Þó>BðaÓAôzBíÈBÞ~mBcù!Bd€BO#B
)ÇA¡U\B3-B8aºAÃ»A‰ø
Bìà!Bú#<BLìA/‚B\Bí+ØAëAô1#B±røAË…4BH<XB	á\Bm*“B¨00¿Ã¬*B0BA'ûoB‘ÒA*KBdLB¥ÙB˜ÀSB@äAcŽ„BK<B¬}MAˆÜÝ?PX·Aì<‡A4(B|„VÀ¢._B&Æ¸A¸ôä@ˆuA¨~GBô¨7B¯Y"AÔôhB ‘ÇAèšŽBKÒ&B–¼B9B>ú<B