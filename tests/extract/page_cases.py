"""Made pages, rich in what parsers of HTML read in an unexpected way; each number gives one."""

import random

from tests.extract.test_fuzz import mutated

TAGS = (
    "a abbr address applet area article aside b base big blockquote body br button caption center code col colgroup dd desc div dl "
    "dt em embed fieldset figcaption figure font footer foreignObject form frame frameset g h1 h2 head header hr html i iframe "
    "image img input label li link listing main marquee math menu meta mi mtext nav nobr noembed noframes noscript object ol optgroup "
    "option p param path picture plaintext pre ruby s script section select small source span strike strong style sub summary svg "
    "table tbody td template textarea tfoot th thead title tr track tt u ul var video xmp annotation-xml x-y"
).split()
OFTEN = (
    "img img img img picture source noscript table tr td th caption tbody p a div b svg title path select option script style "
    "meta base html head body span li ul".split()
)
NAMES = (
    "src alt title data-image-title width height data-src data-original data-lazy-src data-srcset srcset name http-equiv property "
    "content href lang type class id SRC Alt data-srcs".split()
)
VALUES = (
    "a.jpg", "", " ", "x y", "/blank.gif", "data:image/gif;base64,A", "1x1.png", "b.jpg 1x, c.jpg 2x", "c.jpg 100w,d.jpg 300w", "image/webp",
    "image/jxl", "robots", " Robots ", "noindex", "content-language", "Content-Type", "tdm-reservation", "1", "de", "og:image",
    "og:title", "twitter:image:alt", "a&amp;b", "&lt;", "&ampx", "&amp", "&notit;", "&not", "&copy=1", "&copy", "&#x41;", "&#65", "&#x80;", "&#0;",
    "&#xD800;", "&#x110000;", "&#99999999999999;", "&#x;", "&;", "&nosuch;", "&nGt;", "&eacute;é", "a\rb", "a\r\nb\r", "\n", "\t", "\f", "é", "猫", "🐈",
    "<img src=no.jpg>", "</noscript>", "<!--", "-->", "a>b", "it's", 'say "x"', "a=b", "/", "a/", "\x0b", "\x1c", "&#13;", "&#10;", "ſ", "K",
)  # fmt: skip
TEXTS = (
    "text", " ", "\n", "&amp;", "&#32;", "<", "<3", "< img src=no.jpg>", "</", "</>", "</ img>", "<!>", "<!-->", "<!--->", "<!---->", "<!-- x -->",
    "<!--x--!>", "<!--x-->", "<!-- <img src=no.jpg alt=x> -->", "<!--a--><img src=in.jpg>-->", "<!---!><img src=a>-->", "<!-- - -- >-->",
    "<!--<!-->", "<!--<!--x--!>", "<!doctype html>", "<!DOCTYPE html PUBLIC '>' \">\">", "<?xml version='1.0' x='>'?>", "<![CDATA[x<img src=c.jpg>]]>",
    "<![CDATA[", "]]>", "<![cdata[x]]>", "<!x", "<?x>", "é", "猫", "\ufeff", "-->", "--", "<a", "<img", "<img src", "<img src=", "<img src='a",
    "<script>'<img src=no.jpg>'</script>", "<script><!--<script></script><img src=no.jpg>--></script>", "<script><!--<img src=n>--></script>",
    "<script><!--<script>--></script>", "<script><!-->x</script>", "<script><!--", "<script>", "<SCRIPT></Script x='>'>", "<script/>", "<script></scriptx></script >",
    "<script><!--<script ></script></script>", "<script><!-- </script", "<script><!--<script/</script/--></script>", "<style><img src=n></style>", "<style>", "<style></styl></style/>",
    "<title><img src=n></title>", "<title>", "<textarea><img src=n></textarea>", "<textarea>", "<iframe><img src=n></iframe>", "<xmp><img src=n></xmp>",
    "<noembed><img src=n></noembed>", "<noframes><img src=n></noframes>", "<template><img src=n></template>", "<select><option>x<option></select>",
    "<select><img src=s.jpg></select>", "<svg><path d='x'/></svg>", "<svg><g><title>x</title><path></g></svg>", "<svg><image href=x src=i.jpg /></svg>",
    "<svg><style>a{}</style><use href='#a'/></svg>", "<svg><style><!--<img src=n>--></style></svg>", "<svg><![CDATA[<img src=n>]]></svg>", "<svg/>", "<svg><desc><img src=d.jpg></desc></svg>",
    "<svg><script>x<y</script></svg>", "<math><mi>x</mi></math>", "<math><annotation-xml encoding=text/html><img src=m></annotation-xml></math>",
    "<noscript><img src=a.jpg alt=x></noscript>", "<noscript><a href=x><img src=a.jpg></a></noscript>", "<noscript><p><img src=a></p></noscript>",
    "<noscript><div><img src=a></noscript>", "<noscript><h2>x</h2><img src=h></noscript>", "<template><p>x</p><tr><td></template>", "<template><template></template><img src=n></template>",
    "<picture><source srcset=x><img data-src=y><noscript><img src=z></noscript></picture>", "<picture><a><img src=a></a><img src=b></picture>", "</template>", "<noscript><iframe src=x></iframe></noscript>", "<noscript><style>x</style></noscript>",
    "<picture><source srcset='p.webp 2x' type=image/webp><img data-src=q.jpg alt=x></picture>", "<picture><source srcset=x></source>\n<img></picture>",
    "<picture><!-- x --><img src=a></picture>", "<picture><img src=1><img src=2></picture>", "<table><tr><td><img src=t.jpg></td></tr></table>",
    "<table><img src=f.jpg><tr><td>x</table>", "<table><caption><img src=c></caption><tr><th><img src=h>", "<table><tr><td><table><tr><td><img src=n></table>",
    "</table>", "</td>", "</tr>", "</p>", "</br>", "</noscript>", "</picture>", "</svg>", "</select>", "</body></html>", "<p>", "<a>", "<b>",
    "<a <img src=n>", "<a href=\"<img src=n>\">", "<a title='<img src=n>", "<img\nsrc=l.jpg\r\nalt='x\r\ny'>", "<IMG SRC=U.JPG ALT=X>", "<img/src=s.jpg/alt=x>",
    "<img src=a.jpg src=b.jpg alt=x ALT=y>", "<img =src=a>", "<img src==a>", "<img src = a alt\n=\n'x'>", "<img src=\"a\"alt='b'>", "<img src=a/>", "<img src=>", "<img src>",
    "<img alt src=''>", "<img a'b\"c=d src=x>", "<img src=a&amp;b alt=`x`>", "<img<b src=x>", "<img\x0bsrc=x>", "<image src=i.jpg>", "<imgx src=n>", "<im src=n>",
    "<meta name=robots content=noai>", "<meta http-equiv=content-language content=fr>", "<base href=/b/>", "<base href>", "<base target=x>", "<html lang=nl>", "<html lang>",
)  # fmt: skip


def attribute(rng: random.Random) -> str:
    """One attribute, quoted in any way or not."""
    name, value = rng.choice(NAMES), rng.choice(VALUES)
    equals = rng.choice(("=", "=", "=", " = ", "=\n"))
    match rng.randrange(12):
        case 0:
            return name
        case 1 | 2:
            return f"{name}{equals}{value}"
        case 3 | 4 | 5:
            return f"{name}{equals}'{value}'"
        case _:
            return f'{name}{equals}"{value}"'


def tag(name: str, rng: random.Random) -> str:
    """A start tag."""
    name = name.upper() if rng.random() < 0.1 else name
    between = rng.choice((" ", " ", " ", "\n", "/", " / ", ""))
    attributes = between.join(attribute(rng) for _ in range(rng.randrange(4)))
    end = rng.choice((">", ">", ">", ">", "/>", " />", " >"))
    return f"<{name}{rng.choice((' ', ' ', chr(10), '/')) if attributes else ''}{attributes}{end}"


def tree(rng: random.Random, depth: int) -> str:
    """Elements in elements, most of them with an end."""
    parts = []
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.35:
            parts.append(rng.choice(TEXTS))
            continue
        name = rng.choice(OFTEN if rng.random() < 0.7 else TAGS)
        parts.append(tag(name, rng))
        if depth and rng.random() < 0.8:
            parts.append(tree(rng, depth - 1))
        if rng.random() < 0.85:
            parts.append(f"</{name}>")
    return "".join(parts)


def soup(rng: random.Random) -> str:
    """Tags and texts in any order."""
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.randrange(10)
        name = rng.choice(OFTEN if rng.random() < 0.6 else TAGS)
        parts.append(rng.choice(TEXTS) if kind < 4 else f"</{name}>" if kind < 6 else tag(name, rng))
    return "".join(parts)


def lazy(rng: random.Random) -> str:
    """What pages of images have, by and large in order."""
    parts = []
    for _ in range(rng.randint(1, 8)):
        parts.append(rng.choice(("<p>", "<div>", "<a href=x>", "<li>", "<td>", "<table><tr><td>", "</table>", "</a>", "</div>", "</p>", "text", "<b>", "</b>", "<button>", "</button>", "<ul>", "</ul>", "<h1>", "</h1>")))  # fmt: skip
        match rng.randrange(5):
            case 0:
                parts.append(tag("img", rng))
            case 1:
                parts.append(f"<noscript>{rng.choice(('', '<p>', '<a>', '<div>', '<b>'))}{tag('img', rng)}{rng.choice(('', '</p>', '</a>', '</div>', '</b>'))}</noscript>")  # fmt: skip
            case 2:
                parts.append(f"<picture>{tag('source', rng)}{tag('source', rng)}{tag('img', rng)}</picture>")
            case 3:
                parts.append(rng.choice(TEXTS))
            case 4:
                parts.append(tag(rng.choice(OFTEN), rng))
    return "".join(parts)


SOURCES = (
    "", "data:x", " data:x", "DATA:x", "/spacer.gif", "SPACER.GIF?x", "a.jpg", "b/c.jpg?x=1&amp;y=2", "lazy.gif/x", "about:blank", " blank.gif", "\u017fpacer.gif", "&#47;spacer.gif", "none.webp#f",
    "1x1.jpeg\n", "spacer.gifx", "dir.1x1/1x1.svg", "pixel.php", "gray.png&x", "xgrey.png", "x/grey.png", "datax", "lazyload.jpg", "transparentx.gif", "placeholder.svg", "lazy.", "lazy.gif ",
    "\u00e9.jpg", "&amp;", "about", "1x1", "Loader.Gif?http://x/y.jpg",
)  # fmt: skip
ALTS = ("", " ", "x", " x", "x ", "y", "&#120;", "\u00fc", "\u00a0x", "x&amp;y", "x&y", "\nx")


def images(rng: random.Random) -> str:
    """Images, many of them lazy, beside those of ``<noscript>``."""
    parts, places = ["<body>"], rng.sample(SOURCES, 4)
    for _ in range(rng.randint(1, 7)):
        found = [
            f"{name}='{rng.choice(places)}'"
            for name in ("src", "data-src", "data-original", "data-lazy-src")
            if rng.random() < 0.5
        ]
        found += [f"{name}='{rng.choice(places)} 2x'" for name in ("srcset", "data-srcset") if rng.random() < 0.1]
        found += [f"alt='{rng.choice(ALTS)}'"] * (rng.random() < 0.8) + ["src"] * (rng.random() < 0.05)
        rng.shuffle(found)
        image = f"<img {' '.join(found)}>"
        before, after = rng.choice([("", ""), ("", ""), ("<noscript>", "</noscript>"), ("<noscript>", "</noscript>"), ("<picture>", "</picture>"), ("<picture><source srcset=p.jpg>", "</picture>")])  # fmt: skip
        parts.append(before + image + after)
    return "".join(parts)


def of_words(words: str):
    """Makes pages of few kinds of tags, most with an end, and images."""
    words = words.split()

    def made(rng: random.Random) -> str:
        parts, held = [], []
        for _ in range(rng.randint(2, 16)):
            kind = rng.random()
            if kind < 0.4:
                held.append(rng.choice(words))
                parts.append(f"<{held[-1]}>" if rng.random() < 0.9 else tag(held[-1], rng))
            elif kind < 0.65 and held:
                parts.append(f"</{held.pop() if rng.random() < 0.8 else rng.choice(words)}>")
            elif kind < 0.9:
                parts.append(f"<img src={len(parts)}.jpg>")
            else:
                parts.append(rng.choice(TEXTS))
        return "".join(parts)

    return made


KINDS = (
    lambda rng: tree(rng, 3), soup, lazy, images, images, of_words("table table tbody thead tr tr td td th caption colgroup col div b a select form p"),
    of_words("noscript noscript p div a b h1 li ul picture source button table td span i nobr font"), of_words("svg svg g path title desc math mi p style script a image"),
    of_words("picture picture source noscript a b span div p video audio h2"), of_words("template template p div tr td table svg select script noscript"),
    of_words("html head body noscript meta link title style base template script frameset p"), of_words("select select option optgroup hr input button div p a"),
    of_words("a b i nobr p div button table td form applet marquee object noscript picture"),
)  # fmt: skip
HEADS = ("", "", "<!doctype html>", "<!doctype html><html lang=en><head><title>x</title></head><body>", "<html><head>", "<head><noscript>", "<body>",
         "<!doctype html><head><meta charset=utf-8><noscript><img src=pixel.gif></noscript></head>", "<html><head><noscript><style></style></noscript>", "<p>",
         "<table>", "<table><tr><td>", "<svg>", "<template>", "<head><template>", "<head></head><template></template>", "<body><noscript>", "<body><picture>", "<body><select>")  # fmt: skip


def made_page(number: int) -> bytes:
    """The page of a number, in UTF-8."""
    rng = random.Random(number)
    head = rng.choice(HEADS)
    page = (head + rng.choice(KINDS)(rng)).encode()
    return mutated(page, rng).decode("utf-8", "replace").encode() if number % 5 == 0 else page
