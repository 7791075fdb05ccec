"""Documents and their canonical forms, written by hand after RFC 8785.

`make_fixtures` turns them into `fixtures/digests/vectors.jsonl`, for implementations in any language.
"""

from typing import Final

# name, document, canonical form
ACCEPTED: Final[tuple[tuple[str, str, str], ...]] = (
    ("empty object", "{}", "{}"),
    ("space goes", ' {\t"a" :\r\n[ 1 , 2 ] } ', '{"a":[1,2]}'),
    ("names are sorted, lists are not", '{"b":[3,1,2],"a":0}', '{"a":0,"b":[3,1,2]}'),
    ("names are sorted at every level", '{"a":{"z":1,"y":2}}', '{"a":{"y":2,"z":1}}'),
    ("a shorter name is before a longer one", '{"ab":1,"a":2,"":3}', '{"":3,"a":2,"ab":1}'),
    ("upper case is before lower case", '{"a":1,"B":2}', '{"B":2,"a":1}'),
    ("digits sort as text", '{"10":1,"9":2}', '{"10":1,"9":2}'),
    (
        "names are sorted by UTF-16 code units: U+1F600 (D83D) is before U+FB33 and U+E000",
        '{"\ufb33":1,"\U0001f600":2,"\ue000":3,"\u20ac":4}',
        '{"\u20ac":4,"\U0001f600":2,"\ue000":3,"\ufb33":1}',
    ),
    (
        "the example of RFC 8785, 3.2.3",
        (
            r'{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",'
            r'"1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control",'
            r'"\u00f6":"Latin Small Letter O With Diaeresis"}'
        ),
        (
            '{"\\r":"Carriage Return","1":"One","\u0080":"Control",'
            '"\u00f6":"Latin Small Letter O With Diaeresis","\u20ac":"Euro Sign",'
            '"\U0001f600":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}'
        ),
    ),
    (
        "the example of RFC 8785, 3.2.2",
        (
            r'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
            r'"string":"\u20ac$\u000F\u000aA'
            "'"
            r'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}'
        ),
        (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ),
    ),
    ("escapes that are not needed go", r'["\u0041\/\u00e9\u2028"]', '["A/\u00e9\u2028"]'),
    (
        "control characters, the short way where there is one",
        r'["\u0008\u0009\u000a\u000b\u000c\u000d\u001F\u007f"]',
        r'["\b\t\n\u000b\f\r\u001f' + '\x7f"]',
    ),
    ("characters are not composed", '["e\u0301","\u00e9"]', '["e\u0301","\u00e9"]'),
    (
        "integers",
        "[0,-1,9007199254740991,-9007199254740991]",
        "[0,-1,9007199254740991,-9007199254740991]",
    ),
    ("minus zero is zero", "[-0,-0.0,-0e5,0e-7]", "[0,0,0,0]"),
    ("whole floats lose the point", "[1.0,10e-1,1e2,-5.0E0]", "[1,1,100,-5]"),
    (
        "small floats",
        "[0.0001,0.00001,0.000001,0.0000001,1e-7]",
        "[0.0001,0.00001,0.000001,1e-7,1e-7]",
    ),
    ("large floats", "[1e15,1e21,1.5e300,-1e21]", "[1000000000000000,1e+21,1.5e+300,-1e+21]"),
    (
        "the limits of a double",
        "[5e-324,1.7976931348623157e308]",
        "[5e-324,1.7976931348623157e+308]",
    ),
    ("too small is zero", "[1e-400]", "[0]"),
    (
        "the shortest digits",
        "[0.1,0.30000000000000004,4.35,1.10]",
        "[0.1,0.30000000000000004,4.35,1.1]",
    ),
    ("ties", "[1e23,9.5e-7,123456789012.34567]", "[1e+23,9.5e-7,123456789012.34567]"),
    ("literals", "[null,true,false]", "[null,true,false]"),
    ("a document that is no object", '"text"', '"text"'),
    ("64 levels", "[" * 64 + "]" * 64, "[" * 64 + "]" * 64),
    ("brackets in text are text", '["' + "[" * 100 + '"]', '["' + "[" * 100 + '"]'),
    ("digits in text are text", '["12345678901234567890"]', '["12345678901234567890"]'),
)

# name, document, what the message says
REFUSED: Final[tuple[tuple[str, str | bytes, str], ...]] = (
    ("a member twice", '{"a":1,"a":1}', "member 'a' occurs twice"),
    ("a member twice, in spaced text", '{"a": 1, "b": 2, "a": 3}', "member 'a' occurs twice"),
    ("a member twice, inside", '[{"x":{"a":1,"a":2}}]', "member 'a' occurs twice"),
    ("a member twice, escaped", r'{"a":1,"\u0061":2}', "member 'a' occurs twice"),
    (
        "a member twice, beside a float that grows",
        '{"a":1e15,"b":1,"b":11}',
        "member 'b' occurs twice",
    ),
    ("an integer of 2^53", "[9007199254740992]", "beyond 2^53 - 1"),
    ("an integer of -2^53", "[-9007199254740992]", "beyond 2^53 - 1"),
    ("an integer of 2^64", "[18446744073709551616]", "beyond 2^53 - 1"),
    ("an integer of 5000 digits", "9" * 5000, "beyond 2^53 - 1"),
    ("a float whose canonical form is such an integer", "[1e17]", "beyond 2^53 - 1"),
    ("a float just below 1e21", "[999999999999999900000.0]", "beyond 2^53 - 1"),
    ("a number that no double holds", "[1e400]", "no number that JSON has"),
    ("NaN", "[NaN]", "NaN is not JSON"),
    ("Infinity", "[-Infinity]", "-Infinity is not JSON"),
    ("a lone surrogate", r'["\ud800"]', "lone surrogate"),
    ("a lone surrogate in a name", r'{"\udc00":1}', "lone surrogate"),
    ("surrogates the wrong way round", r'["\ude00\ud83d"]', "lone surrogate"),
    ("65 levels", "[" * 65 + "]" * 65, "nested deeper than 64 levels"),
    (
        "65 levels of both sorts",
        '[{"a":' * 32 + "[" + "]" + "}]" * 32,
        "nested deeper than 64 levels",
    ),
    ("a raw control character", '["\x01"]', "not JSON"),
    ("a trailing comma", "[1,]", "not JSON"),
    ("a leading zero", "[01]", "not JSON"),
    ("two documents", "{}{}", "not JSON"),
    ("a comment", "{} // no", "not JSON"),
    ("nothing", "", "not JSON"),
    ("a byte order mark", "\ufeff{}", "not JSON"),
    ("UTF-16", b"\xff\xfe{\x00}\x00", "not UTF-8"),
    ("a surrogate in UTF-8", b'["\xed\xa0\x80"]', "not UTF-8"),
    ("an overlong slash", b'["\xc0\xaf"]', "not UTF-8"),
    ("half a character", b'["\xc3"]', "not UTF-8"),
)
