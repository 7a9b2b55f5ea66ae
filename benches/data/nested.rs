//! A track call as Segment's libraries send it: objects, a map, a list of objects, a list of text.

use super::{
    flat::referrer,
    world::{AGENTS, DEVICES, LOCALES, Session, World, ZONES, put, rank, uuid, words},
};

const EVENTS: [&str; 5] = [
    "Product Added",
    "Cart Viewed",
    "Checkout Started",
    "Order Completed",
    "Product List Viewed",
];
const CATEGORIES: [&str; 6] = ["Home", "Kitchen", "Outdoor", "Café & Thé", "Kids", "Büro"];
const TAGS: [&str; 8] = [
    "returning",
    "sale",
    "newsletter",
    "gift",
    "b2b",
    "été-2026",
    "express",
    "pickup",
];

pub(super) fn push(world: &mut World, out: &mut String) {
    let (session, at) = world.next();
    out.push_str(r#"{"type":"track","messageId":"ajs-next-"#);
    uuid(world.random.u128(..), out);
    out.push_str(r#"","anonymousId":""#);
    uuid(session.anonymous, out);
    out.push_str(r#"","userId":"#);
    match session.user {
        0 => out.push_str("null"),
        user => put!(out, r#""user_{user}""#),
    }
    put!(out, r#","event":"{}""#, world.skewed(&EVENTS));
    let sent = at + world.random.i64(1..200);
    let received = sent + world.random.i64(10..300);
    for (key, time) in [
        ("originalTimestamp", at),
        ("sentAt", sent),
        ("receivedAt", received),
        ("timestamp", received - (sent - at)),
    ] {
        put!(out, r#","{key}":""#);
        world.time(time, out);
        out.push('"');
    }
    context(world, &session, out);
    put!(
        out,
        r#","integrations":{{"All":true,"Amplitude":{},"Google Analytics 4":{}}},"properties":"#,
        session.arm != 0,
        session.country != 1,
    );
    properties(world, out);
    out.push('}');
}

fn context(world: &mut World, session: &Session, out: &mut String) {
    let [a, b, c] = words(session.page);
    let [i, j, k, l] = session.ip;
    put!(
        out,
        r#","context":{{"ip":"{i}.{j}.{k}.{l}","locale":"{}","timezone":"{}","userAgent":"{}","library":{{"name":"analytics.js","version":"npm:next-1.78.{}"}},"#,
        LOCALES[session.country],
        ZONES[session.country],
        AGENTS[session.agent],
        session.arm,
    );
    put!(
        out,
        r#""page":{{"path":"/{a}/{b}-{c}-{}","referrer":"#,
        session.page
    );
    referrer(world, out);
    put!(
        out,
        r#","search":"","title":"{b} {c} \u2013 Shop","url":"https://example.com/{a}/{b}-{c}-{}"}},"screen":{{"width":{},"height":{},"density":{}}}"#,
        session.page,
        session.screen.0,
        session.screen.1,
        if DEVICES[session.agent] == "phone" {
            3
        } else {
            2
        },
    );
    if session.arm == 3 {
        out.push_str(
            r#","campaign":{"name":"spring-2026","source":"newsletter","medium":"email"}"#,
        );
    }
    out.push('}');
}

fn properties(world: &mut World, out: &mut String) {
    let n = 1 + rank(&mut world.random, 6);
    let mut products = String::new();
    let mut total = 0;
    for position in 1..=n {
        let number = rank(&mut world.random, 8_000);
        let [a, b, c] = words(number + 77);
        // A product has one price.
        let (cents, quantity) = (99 + number * 37 % 19_900, 1 + rank(&mut world.random, 4));
        total += cents * quantity;
        let category = CATEGORIES[number % CATEGORIES.len()];
        let quoted = if number.is_multiple_of(16) {
            r#" \"XL\""#
        } else {
            ""
        };
        put!(
            &mut products,
            r#"{}{{"product_id":"{:024x}","sku":"SKU-{number:05}","name":"{a} {b} {c}{quoted}","category":"{category}","price":{}.{:02},"quantity":{quantity},"position":{position}}}"#,
            if position == 1 { "" } else { "," },
            (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c75_9ce4_1b2f) >> 32,
            cents / 100,
            cents % 100,
        );
    }
    put!(
        out,
        r#"{{"order_id":"O-{:010}","total":{}.{:02},"currency":"EUR","coupon":"#,
        world.random.u32(..),
        total / 100,
        total % 100,
    );
    out.push_str(if world.chance(10) {
        r#""SPRING10""#
    } else {
        "null"
    });
    put!(out, r#","products":[{products}],"tags":["#);
    for i in 0..rank(&mut world.random, 4) {
        let tag = world.skewed(&TAGS);
        put!(out, r#"{}"{tag}""#, if i == 0 { "" } else { "," });
    }
    out.push_str("]}");
}
