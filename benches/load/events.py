"""Events of a load by kind and seed: the same arguments give the same bytes, whatever the machine.

`flat` is a click of about 345 bytes and 15 fields, `nested` a tracking event of about 1.4 KB: a context of objects, a map, a
list of objects, a list of texts.
"""

import random

PAGES = ["/", "/shop", "/shop/cart", "/shop/checkout", "/blog/2026/how-we-ship", "/account/orders", "/search?q=red+shoes"]
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5) Mobile/15E148",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Safari/605",
]
CITIES = ["Wien", "São Paulo", "München", "Lagos", "Kraków", "Osaka", "Leeds", "Toronto"]
WORDS = ["alpha", "bravo", "carbon", "delta", "ember", "fjord", "glacier", "harbor", "island", "jasmine", "kernel", "lagoon"]


def time_of(n):
    """A rising time, a few milliseconds an event."""
    milliseconds = n * 7
    seconds = milliseconds // 1000
    return f"2026-03-{1 + seconds // 86400 % 28:02d}T{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{milliseconds % 1000:03d}Z"


def flat(n, draw):
    bits = draw.getrandbits(64)
    user = int(draw.random() ** 3 * 200_000)
    return (
        f'{{"event_id":"{bits:016x}","user_id":{user},"session_id":"s-{user * 31 + (bits & 15):08x}","event_type":"{("view", "click", "scroll", "buy")[bits >> 8 & 3]}",'
        f'"ts":"{time_of(n)}","page":"{PAGES[bits % 7]}","referrer":"{PAGES[(bits >> 16) % 7]}","country":"{("AT", "BR", "DE", "NG", "PL", "JP", "GB", "CA")[bits >> 20 & 7]}",'
        f'"device":"{("phone", "desktop", "tablet")[(bits >> 24) % 3]}","agent":"{AGENTS[(bits >> 28) % 3]}","duration_ms":{bits >> 32 & 0xffff},'
        f'"price":{(bits >> 40) % 100_000 / 100},"quantity":{bits >> 48 & 7},"is_new":{"true" if bits >> 52 & 1 else "false"},"score":{draw.random():.6f}}}'
    )


def nested(n, draw):
    bits = draw.getrandbits(64)
    user = int(draw.random() ** 3 * 200_000)
    products = ",".join(
        f'{{"sku":"SKU-{draw.getrandbits(20):06x}","name":"{WORDS[i + bits % 5]} {WORDS[(bits >> 7) % 12]}","price":{(bits >> i * 9) % 50_000 / 100},'
        f'"quantity":{1 + (bits >> i & 3)},"category":"{WORDS[(bits >> i * 3) % 12]}"}}'
        for i in range(2 + bits % 4)
    )
    return (
        f'{{"messageId":"m-{bits:016x}-{user:06x}","type":"track","event":"{("Order Completed", "Product Viewed", "Cart Updated")[bits >> 3 & 1]}","userId":"u-{user}",'
        f'"anonymousId":"{bits * 0x9E3779B97F4A7C15 & (1 << 64) - 1:016x}","timestamp":"{time_of(n)}","sentAt":"{time_of(n + 3)}","receivedAt":"{time_of(n + 9)}",'
        f'"context":{{"ip":"10.{bits & 255}.{bits >> 8 & 255}.{bits >> 16 & 255}","locale":"de-AT","timezone":"Europe/Vienna","userAgent":"{AGENTS[bits % 3]}",'
        f'"library":{{"name":"analytics.js","version":"2.11.{bits >> 9 & 3}"}},"page":{{"path":"{PAGES[bits % 7]}","title":"{CITIES[bits >> 11 & 7]}: {WORDS[(bits >> 14) % 12]} {WORDS[(bits >> 18) % 12]}",'
        f'"url":"https://shop.example{PAGES[bits % 7]}","search":null}},"device":{{"id":"{bits >> 5:015x}","manufacturer":"Example","model":"E{bits >> 22 & 15}","type":"ios"}},'
        f'"campaign":{{"source":"newsletter","medium":"email","name":"{WORDS[(bits >> 26) % 12]}-{bits >> 30 & 63}"}},"screen":{{"width":{1024 + (bits >> 33 & 1023)},"height":{640 + (bits >> 43 & 511)},"density":2.5}}}},'
        f'"properties":{{"order_id":"o-{bits >> 12:013x}","revenue":{(bits >> 36) % 1_000_000 / 100},"currency":"EUR","coupon":{"null" if bits & 3 else chr(34) + "SPRING" + chr(34)},"products":[{products}]}},'
        f'"traits":{{"plan":"{("free", "team", "business")[bits % 3]}","city":"{CITIES[bits >> 51 & 7]}","{WORDS[(bits >> 54) % 4]}":"{WORDS[(bits >> 57) % 12]}"}},'
        f'"tags":["{WORDS[bits % 12]}","{WORDS[(bits >> 4) % 12]}","{WORDS[(bits >> 8) % 12]}"],"integrations":{{"All":true,"Mixpanel":false}},"version":2}}'
    )


KINDS = {"flat": flat, "nested": nested}


def events(kind, size_bytes, seed):
    """Events of a kind, as bytes without a line's end, until their sum with line ends reaches `size_bytes`."""
    draw, make, total, n = random.Random(f"{kind}/{seed}"), KINDS[kind], 0, 0
    while total < size_bytes:
        event = make(n, draw).encode()
        total, n = total + len(event) + 1, n + 1
        yield event
