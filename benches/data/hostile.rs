//! A click as careless clients send it: keys in any order, fields that are missing, unknown or of a wrong type.

use super::{
    flat::referrer,
    world::{COUNTRIES, DEVICES, LOCALES, Session, World, put, rank, uuid, words},
};

const TITLES: [&str; 8] = [
    "Grüße aus \\u004b\\u00f6ln",
    "a \\\"quoted\\\" title",
    "path \\/ with \\\\ slashes",
    "東京の店 \\ud83d\\ude00",
    "line\\nbreak\\tand tab",
    "naïve café",
    "plain title",
    "Ελλάδα — Привет",
];
const STRANGERS: [&str; 12] = [
    "utm_term",
    "gclid",
    "ab_variant",
    "debug",
    "build",
    "größe",
    "fbclid",
    "app_state",
    "sdk\\u005fversion",
    "beta_flags",
    "viewport",
    "trace",
];
/// Values that no column of text or of numbers takes.
const MISFITS: [&str; 2] = [r#"["a",1]"#, r#"{"v":"7"}"#];

/// A field and its value as JSON.
type Fields = Vec<(&'static str, String)>;

pub(super) fn push(world: &mut World, out: &mut String) {
    let (session, at) = world.next();
    let mut fields = known(world, &session, at);
    fields.retain(|_| world.random.u8(..100) >= 30);
    if world.chance(5) && !fields.is_empty() {
        let index = world.random.usize(..fields.len());
        let misfit = MISFITS[world.random.usize(..MISFITS.len())];
        let (name, value) = &mut fields[index];
        *value = match *name {
            "tags" | "context" | "price" | "quantity" | "is_new" => r#""n/a""#.to_owned(),
            _ => misfit.to_owned(),
        };
    }
    for _ in 0..rank(&mut world.random, 3) {
        let name = STRANGERS[world.random.usize(..STRANGERS.len())];
        if fields.iter().all(|(known, _)| *known != name) {
            let value = stranger(world);
            fields.push((name, value));
        }
    }
    world.random.shuffle(&mut fields);
    object(&fields, out);
}

fn object(fields: &Fields, out: &mut String) {
    out.push('{');
    for (i, (name, value)) in fields.iter().enumerate() {
        put!(out, r#"{}"{name}":{value}"#, if i == 0 { "" } else { "," });
    }
    out.push('}');
}

/// Every column's field.
fn known(world: &mut World, session: &Session, at: i64) -> Fields {
    let text = |value: &str| format!(r#""{value}""#);
    let mut id = String::new();
    uuid(world.random.u128(..), &mut id);
    let mut time = String::new();
    world.time(at, &mut time);
    let mut from = String::new();
    referrer(world, &mut from);
    let [a, b, _] = words(session.page);
    let cents = world.cents();
    let random = &mut world.random;
    let event = ["view", "click", "add_to_cart", "purchase"][rank(random, 4)];
    let url = format!(r#""https://example.com/{a}-{b}-{}""#, session.page);
    vec![
        ("event_id", text(&id)),
        ("timestamp", text(&time)),
        ("event", text(event)),
        ("user_id", session.user.to_string()),
        ("session", format!(r#""{:012x}""#, session.id >> 16)),
        ("url", url),
        ("referrer", from),
        ("country", text(COUNTRIES[session.country])),
        ("device", text(DEVICES[session.agent])),
        ("duration_ms", rank(random, 60_000).to_string()),
        ("scroll", format!("{:.3}", random.f64())),
        ("price", format!("{}.{:02}", cents / 100, cents % 100)),
        ("quantity", (1 + rank(random, 5)).to_string()),
        ("is_new", session.new.to_string()),
        (
            "variant",
            text(["control", "blue", "wide", "fast"][session.arm]),
        ),
        ("title", text(TITLES[random.usize(..TITLES.len())])),
        ("context", context(world, session)),
        ("tags", tags(world)),
    ]
}

fn context(world: &mut World, session: &Session) -> String {
    let [i, j, k, l] = session.ip;
    let mut fields: Fields = vec![
        ("ip", format!(r#""{i}.{j}.{k}.{l}""#)),
        ("locale", format!(r#""{}""#, LOCALES[session.country])),
        (
            "campaign",
            r#"{"source":"newsletter","name":"spring\u0020sale"}"#.to_owned(),
        ),
        (
            "screen",
            format!(
                r#"{{"width":{},"height":{}}}"#,
                session.screen.0, session.screen.1
            ),
        ),
    ];
    fields.retain(|_| world.random.u8(..100) >= 30);
    world.random.shuffle(&mut fields);
    let mut out = String::new();
    object(&fields, &mut out);
    out
}

fn tags(world: &mut World) -> String {
    match world.random.u8(..4) {
        0 => "[]".to_owned(),
        1 => r#"["neu","été"]"#.to_owned(),
        2 => r#"["sale",null]"#.to_owned(),
        _ => "null".to_owned(),
    }
}

/// The value of a field that no table has.
fn stranger(world: &mut World) -> String {
    match world.random.u8(..5) {
        0 => "true".to_owned(),
        1 => world.random.i32(..).to_string(),
        2 => format!(r#""x{:x}""#, world.random.u32(..)),
        3 => r#"{"a":[1,2,{"b":"c"}],"d":null}"#.to_owned(),
        _ => r#"["one","two"]"#.to_owned(),
    }
}
