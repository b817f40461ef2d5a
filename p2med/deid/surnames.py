"""Family names: single, of two characters, in Latin letters."""

SURNAMES = frozenset(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
    "庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂丛焦向柳邢路岳齐沿梅莫庄辛管祝左涂谷祁时舒耿牟卜"
    "路詹关苗凌费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包司柏宁柯阮桂闵解强柴华车冉房边辜"
    "吉饶刁瞿戚丘古米池滕晋苑邬臧畅宫来嵺苟全褚廉简娄盖符奚木穆党燕郎邸冀谈姬屠连郜晏栾郁商蒙计喻揭窦迟宇"
    "敖糜鄢冷卓花仇艾蓝都巩稽井练仲乐虞卞封竺冼原官衣楚佟栗匡宗应台巫鞠僧桑荆谌银扬明沙薄伏岑习胥保和蔺水"
    "云昌凤酆皮卡湛禹狄贝臧成茅麻危骆支昝经裘缪干宣贲杭诸钮嵇滑荣羊於惠麴家芮羿储汲邴松富乌巴弓牧隗山"
    "车宓蓬郗班仰秋伊暴钭厉戎祖束幸韶蓟印宿怀蒲鄂索咸籍卓池阴能苍双闻莘翟贡劳逄扶堵冉宰郦雍却璩濮寿通扈冀"
    "浦尚农别晏阎充慕茹宦鱼容慎戈庾终暨居衡步耿满弘国寇广禄阙东殳沃利蔚越夔隆师巩厍晁勾敖融訾辛阚那空毋沙"
    "乜养须丰关蒯相后红游竺权逯盖益桓公仉督岳帅缑亢况郈有琴归海晋闫法汝佴伯赏佘佟墨哈谯笪年爱代肖付占芶邝练"
    "仝展但初闭谭邰鹿青兴泮由占门线喇才苏雒底郏区亓麦揣相粟俸仁候赫闪海昂信丑"
    "陳張劉楊黃趙吳孫馬羅謝韓馮蕭鄧許蘇盧蔣賈閻葉餘鐘範譚鄒陸萬錢湯喬賀賴龔鄭呂閆顏龍韋歐魯關紀項衛費單寧"
)
COMPOUND_SURNAMES = tuple(
    (
        "欧阳 司马 上官 诸葛 东方 皇甫 尉迟 公孙 慕容 令狐 司徒 夏侯 长孙 宇文 端木 南宫 独孤 百里 呼延 闻人 澹台 "
        "公冶 宗政 濮阳 淳于 单于 太叔 申屠 仲孙 轩辕 钟离 鲜于 闾丘 亓官 司空 拓跋 赫连 完颜 东郭 西门 第五 欧陽 左丘 "
        "万俟 公羊 司寇 乐正 谷梁 羊舌 微生 梁丘 纳兰 爱新觉罗 叶赫那拉 那拉 富察 钮祜禄 瓜尔佳 东野 即墨 巫马 漆雕 "
        "壤驷 公良 夹谷 宰父 段干 南郭 北宫 司城 张廖 陈黄 范姜"
    ).split()
)
# Spellings of family names outside Hanyu Pinyin: Hong Kong, Macau, Taiwan, Singapore.
ELSEWHERE = {
    "张": "cheung chang cheong teo", "王": "wong heng ong", "李": "lee", "陈": "chan chen tan chin", "刘": "lau low liew",
    "黄": "wong ng huang", "林": "lam lim", "吴": "ng wu goh", "何": "ho", "郑": "cheng tay teh", "梁": "leung leong",
    "罗": "lo law", "徐": "tsui hsu chui", "谢": "tse hsieh chia", "许": "hui koh hsu", "蔡": "choi tsai chua",
    "曾": "tsang chan tseng", "邓": "tang teng", "冯": "fung", "叶": "yip yeh ip", "周": "chow chou chau", "杨": "yeung young",
    "朱": "chu choo", "胡": "wu woo", "高": "ko kao", "郭": "kwok kuo", "马": "ma mah", "赵": "chiu chao", "孙": "suen sun",
    "吕": "lui lu lyu lue", "余": "yu yue", "卢": "lo lu", "苏": "so su", "潘": "poon pan", "欧阳": "auyeung au-yeung",
    "区": "au", "麦": "mak", "简": "kan", "邱": "yau chiu", "温": "wan", "方": "fong", "江": "kong chiang", "姜": "chiang",
    "唐": "tong", "彭": "pang", "莫": "mok", "关": "kwan", "钟": "chung", "袁": "yuen", "石": "shek", "沈": "shum shen",
    "伍": "ng", "洪": "hung", "侯": "hau", "甘": "kam", "施": "sze shih", "陆": "luk", "覃": "tam qin tan", "仇": "qiu chou",
    "解": "xie", "单": "shan", "查": "zha", "乐": "yue le", "盖": "ge gai", "翟": "zhai di", "曲": "qu", "朴": "piao park",
    "任": "ren yam", "尉迟": "yuchi", "万俟": "moqi", "闫": "yan yim",
}  # fmt: skip
