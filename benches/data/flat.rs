//! A click: 15 fields, always in this order.

use super::world::{COUNTRIES, DEVICES, PAGES, World, put, rank, uuid, words};

pub(super) fn push(world: &mut World, out: &mut String) {
    let (session, at) = world.next();
    out.push_str(r#"{"event_id":""#);
    uuid(world.random.u128(..), out);
    out.push_str(r#"","timestamp":""#);
    world.time(at, out);
    let event = world.skewed(&["view", "click", "add_to_cart", "purchase"]);
    put!(out, r#"","event":"{event}","user_id":"#);
    match session.user {
        0 => out.push_str("null"),
        user => put!(out, "{user}"),
    }
    let [a, b, _] = words(session.page);
    put!(
        out,
        r#","session":"{:012x}","url":"https://example.com/{a}-{b}-{}","referrer":"#,
        session.id >> 16,
        session.page,
    );
    referrer(world, out);
    put!(
        out,
        r#","country":"{}","device":"{}","duration_ms":{},"scroll":{:.3},"#,
        COUNTRIES[session.country],
        DEVICES[session.agent],
        rank(&mut world.random, 60_000),
        world.random.f64(),
    );
    let cents = world.cents();
    put!(
        out,
        r#""price":{}.{:02},"quantity":{},"is_new":{},"variant":"{}"}}"#,
        cents / 100,
        cents % 100,
        1 + rank(&mut world.random, 5),
        session.new,
        ["control", "blue", "wide", "fast"][session.arm],
    );
}

/// Where the visitor came from: nowhere, a search, or another page of the shop.
pub(super) fn referrer(world: &mut World, out: &mut String) {
    match world.random.u8(..10) {
        ..6 => out.push_str("null"),
        6..8 => out.push_str(r#""https://google.com/""#),
        _ => {
            let page = rank(&mut world.random, PAGES);
            let [a, b, _] = words(page);
            put!(out, r#""https://example.com/{a}-{b}-{page}""#);
        }
    }
}
