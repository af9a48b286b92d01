"""Texts, URLs and names that would be something in a page if they were not text."""

MARKUP = [
    "<script>window.hacked = 1</script>", "</script><script>window.hacked = 2</script>", "<img src=x onerror=window.hacked=3>",
    "<svg onload=window.hacked=4>", "<svg><script>window.hacked=5</script></svg>", "<iframe srcdoc='<script>parent.hacked=6</script>'>",
    "<body onload=window.hacked=7>", "<a href=javascript:window.hacked=8>x</a>", "<!--", "-->", "<!--<script>", "]]>",
    "<style>*{display:none}</style>", "</style><b>", "</title><script>window.hacked=9</script>", "<base href=https://evil.test/>",
    "<meta http-equiv=refresh content='0;url=https://evil.test/'>", "<link rel=stylesheet href=https://evil.test/x.css>",
    "<object data=https://evil.test>", "<embed src=https://evil.test>", "<form action=https://evil.test><input autofocus onfocus=window.hacked=10>",
    "<details open ontoggle=window.hacked=11>", "<video><source onerror=window.hacked=12>", "<math><mtext></math><img src onerror=window.hacked=13>",
    "<template><img src=x onerror=window.hacked=14></template>", "<noscript><img src=x onerror=window.hacked=15></noscript>",
    "<plaintext>", "<xmp>", "<textarea>", "<select><option>", "<table><td>", "<marquee onstart=window.hacked=16>",
    "<audio src=x onerror=window.hacked=17>", "<input type=image src=x onerror=window.hacked=18>", "<isindex action=javascript:1>",
    "<div style=background:url(https://evil.test/x)>", "<p id=page-data>{}</p>", "<p id=main>", "<form name=document>", "<img name=getElementById>",
]  # fmt: skip
QUOTES = [
    '"', "'", "`", '" onmouseover="window.hacked=20', "' onmouseover='window.hacked=21", "` onmouseover=`window.hacked=22", '\\"', "\\u003cscript\\u003e",
    "\\", "\\\\", "\\n", "${window.hacked=23}", "{{constructor.constructor('window.hacked=24')()}}", "<%= 1 %>", "#{1}", "%3Cscript%3E", "&lt;script&gt;",
    "&#60;script&#62;", "&", "&amp;", "&quot;", "\u2028", "\u2029", "\u0000", "\ufeff", "\u202e gnitset", "\u200b", "\ud7ff", "\U0010ffff", "a\tb", "a\r\nb", "\v\f",
    "+/v8-+ADw-script+AD4-", "\x1b[31m", "\x7f", "é\u0301" * 50, "﷽" * 40, "𒐫" * 20, "x" * 5000, " " * 40, "\n" * 9,
]  # fmt: skip
NAMES = [
    "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "length", "undefined", "null", "NaN", "Infinity", "true", "-0", "0",
    "1e999", "[object Object]", "then", "document", "window", "location", "name", "id",
]  # fmt: skip
URLS = [
    "javascript:window.hacked=30", "JaVaScRiPt:window.hacked=31", "java\tscript:window.hacked=32", "data:text/html,<script>window.hacked=33</script>",
    "https://evil.test/\"><script>window.hacked=34</script>", "https://a@evil.test:99999/", "http://[::1", "//evil.test", "file:///etc/passwd",
    "https://<script>.test/", "https://xn--/", "vbscript:1", "blob:x", "https://user:secret@host.test/?token=secret", "https://ex\u2028ample.test/", "http://" + "h" * 300 + ".test/",
]  # fmt: skip
ALL = [*MARKUP, *QUOTES, *NAMES, *URLS]
