"""From a page's bytes to its text.

The order is the one of browsers (WHATWG HTML, "determining the character encoding"): byte order mark, Content-Type
header, `<meta>` in the first 1,024 bytes, then a guess. Only the Encoding Standard's names are known
(https://encoding.spec.whatwg.org/#names-and-labels); Python's codec registry is never asked for a name that a page
chose, since it holds codecs that are no character sets and remembers every name that it does not know.
"""

import codecs
import re

_LABELS: dict[str, str] = {
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 x-unicode20utf8",
    "utf-16-le": "utf-16 utf-16le ucs-2 unicode iso-10646-ucs-2 csunicode",
    "utf-16-be": "utf-16be unicodefffe",
    # Browsers read Latin-1 and ASCII as windows-1252, which adds letters where those have none.
    "cp1252": "windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso_8859-1 latin1 latin-1 l1 ascii us-ascii",
    "iso8859-2": "iso-8859-2 iso8859-2 iso_8859-2 latin2 l2",
    "iso8859-3": "iso-8859-3 iso8859-3 latin3 l3",
    "iso8859-4": "iso-8859-4 iso8859-4 latin4 l4",
    "iso8859-5": "iso-8859-5 iso8859-5 cyrillic",
    "iso8859-6": "iso-8859-6 iso8859-6 arabic",
    "iso8859-7": "iso-8859-7 iso8859-7 greek",
    "iso8859-8": "iso-8859-8 iso8859-8 iso-8859-8-i hebrew",
    "iso8859-10": "iso-8859-10 iso8859-10 latin6 l6",
    "iso8859-13": "iso-8859-13 iso8859-13",
    "iso8859-14": "iso-8859-14 iso8859-14",
    "iso8859-15": "iso-8859-15 iso8859-15 latin-9 latin9 l9",
    "iso8859-16": "iso-8859-16",
    "cp1250": "windows-1250 cp1250 x-cp1250",
    "cp1251": "windows-1251 cp1251 x-cp1251",
    "cp1253": "windows-1253 cp1253",
    "cp1254": "windows-1254 cp1254 iso-8859-9 iso8859-9 latin5 l5",
    "cp1255": "windows-1255 cp1255",
    "cp1256": "windows-1256 cp1256",
    "cp1257": "windows-1257 cp1257",
    "cp1258": "windows-1258 cp1258",
    "cp874": "windows-874 iso-8859-11 tis-620",
    "cp866": "ibm866 cp866 866",
    "koi8-r": "koi8-r koi8 koi cskoi8r",
    "koi8-u": "koi8-u koi8-ru",
    "mac-roman": "macintosh mac x-mac-roman",
    "gb18030": "gb18030 gbk gb2312 gb_2312-80 chinese x-gbk",
    "big5hkscs": "big5 big5-hkscs cn-big5 x-x-big5",
    "euc_jp": "euc-jp x-euc-jp",
    "iso2022_jp": "iso-2022-jp",
    "cp932": "shift_jis shift-jis sjis windows-31j x-sjis ms_kanji",
    "cp949": "euc-kr ks_c_5601-1987 windows-949 korean",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_META_BYTES = 1_024
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def decode(body: bytes, declared: str | None, *, html: bool) -> str:
    """The text of a page, never failing: bytes that the character set does not know become U+FFFD.

    `declared` is the Content-Type header's `charset`, if any; `html` allows a `<meta>` to name one. Control characters
    are left out and line ends are `\\n`: neither parsers nor stores take them.
    """
    mark, codec = next(((mark, codec) for mark, codec in _MARKS if body.startswith(mark)), (b"", None))
    codec = codec or _CODECS.get((declared or "").strip().lower()) or (_from_meta(body) if html else None)
    payload = body[len(mark) :]
    text = _guess(payload) if codec is None else payload.decode(codec, errors="replace")
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n"))


def _from_meta(body: bytes) -> str | None:
    match = _META.search(body[:_META_BYTES])
    codec = _CODECS.get(match[1].decode("ascii").lower()) if match else None
    # A page whose <meta> can be read byte by byte is not UTF-16, whatever it says (WHATWG HTML, prescan).
    return "utf-8" if codec in ("utf-16-le", "utf-16-be") else codec


def _guess(body: bytes) -> str:
    """UTF-8 if it is valid UTF-8, since other text hardly ever is; else windows-1252, the web's old default."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")
