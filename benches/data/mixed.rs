//! Short deep events of four kinds: a chat's messages, files, presences and payments.

use super::world::{CITIES, COUNTRIES, Session, World, put, rank, words};

const NAMES: [&str; 10] = [
    "Zoë Müller",
    "Jürgen Weiß",
    "María José",
    "Иван Петров",
    "佐藤 花子",
    "Ann O'Neil",
    "Fatma Yılmaz",
    "Bob \\\"Bobby\\\" Lee",
    "Chloé D.",
    "Sam Park",
];
const ROOMS: [&str; 6] = [
    "general",
    "données",
    "random",
    "support/level-2",
    "チーム",
    "on-call",
];
const EMOJI: [&str; 5] = ["👍", "🎉", "\\ud83d\\ude80", "❤️", "😅"];
const PHRASES: [&str; 12] = [
    "can you look at this",
    "das läuft jetzt wieder",
    "it said \\\"permission denied\\\" again",
    "first line\\nsecond line",
    "see C:\\\\logs\\\\today",
    "merci beaucoup, à demain",
    "明日の会議は10時です",
    "done \\u2713",
    "who is on call tonight?",
    "the build is green",
    "🎉🎉🎉",
    "tabs\\tand more",
];

pub(super) fn push(world: &mut World, out: &mut String) {
    let (session, at) = world.next();
    let kind = world.random.u8(..100);
    let name = match kind {
        ..50 => "message",
        50..65 => "file",
        65..85 => "presence",
        _ => "payment",
    };
    put!(out, r#"{{"v":2,"kind":"{name}","at":""#);
    world.time(at, out);
    actor(&session, out);
    put!(out, r#","{name}":"#);
    match kind {
        ..50 => message(world, out),
        50..65 => file(world, out),
        65..85 => presence(world, &session, out),
        _ => payment(world, out),
    }
    out.push('}');
}

fn actor(session: &Session, out: &mut String) {
    // A user keeps the name and the place.
    let number = (session.anonymous % 9_973) as usize;
    put!(
        out,
        r#"","actor":{{"id":"u{}","name":"{}","geo":{{"city":"{}","country":"{}","point":{{"lat":{:.4},"lon":{:.4}}}}}}}"#,
        session.user,
        NAMES[number % NAMES.len()],
        CITIES[session.country],
        COUNTRIES[session.country],
        10.0 + number as f64 * 0.005,
        number as f64 * 0.01 - 50.0,
    );
}

fn message(world: &mut World, out: &mut String) {
    let room = rank(&mut world.random, 400);
    put!(
        out,
        r#"{{"id":"{:016x}","room":{{"id":{room},"name":"{}"}},"text":""#,
        world.random.u64(..),
        ROOMS[room % ROOMS.len()],
    );
    for i in 0..1 + rank(&mut world.random, 4) {
        if i > 0 {
            out.push_str(", ");
        }
        out.push_str(PHRASES[world.random.usize(..PHRASES.len())]);
        let [a, b, _] = words(world.random.usize(..4_000));
        put!(out, " {a} {b}");
    }
    out.push_str(r#"","mentions":["#);
    if world.chance(20) {
        put!(
            out,
            r#""u{}""#,
            10_000_019 + rank(&mut world.random, 5_000) * 7
        );
    }
    out.push_str(r#"],"reactions":["#);
    if world.chance(25) {
        let emoji = world.skewed(&EMOJI);
        let count = 1 + rank(&mut world.random, 9);
        put!(out, r#"{{"emoji":"{emoji}","count":{count}}}"#);
    }
    out.push_str("]}");
}

fn file(world: &mut World, out: &mut String) {
    let [a, b, _] = words(world.random.usize(..30_000));
    let image = world.chance(60);
    let (mime, end) = if image {
        ("image/png", "png")
    } else {
        ("application/pdf", "pdf")
    };
    put!(
        out,
        r#"{{"name":"{a} ü {b}.{end}","size":{},"meta":{{"mime":"{mime}""#,
        1_000 + rank(&mut world.random, 30_000_000),
    );
    if image {
        put!(
            out,
            r#","image":{{"width":{},"height":{}}}"#,
            100 * (1 + rank(&mut world.random, 40)),
            100 * (1 + rank(&mut world.random, 40)),
        );
    }
    put!(out, r#"}},"checksum":"{:032x}"}}"#, world.random.u128(..));
}

fn presence(world: &mut World, session: &Session, out: &mut String) {
    put!(
        out,
        r#"{{"state":"{}","client":{{"os":"{}","app":{{"name":"desk","build":{}}}}}}}"#,
        world.skewed(&["online", "away", "offline"]),
        ["ios", "windows", "android", "macos", "linux"][session.agent],
        4_180 + rank(&mut world.random, 30),
    );
}

fn payment(world: &mut World, out: &mut String) {
    let (cents, approved) = (world.cents(), !world.chance(3));
    put!(
        out,
        r#"{{"id":"pay_{:016x}","amount":{{"value":{}.{:02},"currency":"{}"}},"card":{{"brand":"{}","last4":"{:04}"}},"approved":{approved}}}"#,
        world.random.u64(..),
        cents / 100,
        cents % 100,
        world.skewed(&["EUR", "USD", "JPY"]),
        world.skewed(&["visa", "mastercard", "amex"]),
        world.random.u16(..10_000),
    );
}
