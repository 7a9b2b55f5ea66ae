//! Who does what, when: the clock, the sessions and the skewed choices that all kinds of events share.

use fastrand::Rng;
use std::fmt::Write;

/// Sessions that are open at a time.
const SESSIONS: usize = 2_000;
const USERS: usize = 500_000;
pub const PAGES: usize = 20_000;
/// 2026-03-01T08:00:00Z, in milliseconds since the epoch.
const START: i64 = 1_772_352_000_000;

pub const COUNTRIES: [&str; 12] = [
    "US", "DE", "GB", "FR", "BR", "IN", "JP", "NL", "ES", "PL", "NZ", "IS",
];
pub const CITIES: [&str; 12] = [
    "New York",
    "Köln",
    "London",
    "Orléans",
    "São Paulo",
    "पुणे",
    "東京",
    "Utrecht",
    "A Coruña",
    "Łódź",
    "Ōtautahi",
    "Reykjavík",
];
pub const LOCALES: [&str; 12] = [
    "en-US", "de-DE", "en-GB", "fr-FR", "pt-BR", "hi-IN", "ja-JP", "nl-NL", "es-ES", "pl-PL",
    "en-NZ", "is-IS",
];
pub const ZONES: [&str; 12] = [
    "America/New_York",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Paris",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Europe/Amsterdam",
    "Europe/Madrid",
    "Europe/Warsaw",
    "Pacific/Auckland",
    "Atlantic/Reykjavik",
];
pub const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0",
];
pub const DEVICES: [&str; 5] = ["phone", "desktop", "phone", "desktop", "desktop"];
const WORDS: [&str; 32] = [
    "linen", "summer", "wool", "classic", "green", "oak", "light", "travel", "kids", "winter",
    "blue", "stone", "river", "city", "trail", "copper", "sport", "night", "soft", "garden",
    "cotton", "steel", "north", "coast", "paper", "cloud", "maple", "amber", "desk", "lamp",
    "jacket", "bottle",
];

/// One visit of one user.
#[derive(Clone)]
pub struct Session {
    pub id: u64,
    /// 0 where nobody is signed in.
    pub user: u64,
    pub anonymous: u128,
    /// Index of the country, its city, locale and zone.
    pub country: usize,
    /// Index of the user agent and its device.
    pub agent: usize,
    pub ip: [u8; 4],
    pub screen: (u16, u16),
    pub new: bool,
    pub arm: usize,
    /// The page that is open.
    pub page: usize,
}

pub struct World {
    pub random: Rng,
    sessions: Vec<Session>,
    now: i64,
    time: Clock,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let sessions = (0..SESSIONS).map(|_| Session::new(&mut random)).collect();
        Self {
            random,
            sessions,
            now: START,
            time: Clock::default(),
        }
    }

    /// The next event's session, moved on to its next page, and its time in milliseconds: about 500 events a second,
    /// up to two seconds late.
    pub fn next(&mut self) -> (Session, i64) {
        self.now += self.random.i64(0..=4);
        let late = if self.random.u8(..8) == 0 { 2_000 } else { 40 };
        let at = self.now - self.random.i64(0..late);
        let index = self.random.usize(..SESSIONS);
        if self.random.u8(..20) == 0 {
            self.sessions[index] = Session::new(&mut self.random);
        }
        let session = &mut self.sessions[index];
        if self.random.u8(..3) == 0 {
            session.page = rank(&mut self.random, PAGES);
        }
        (session.clone(), at)
    }

    /// Appends a time as RFC 3339 text with milliseconds.
    pub fn time(&mut self, at: i64, out: &mut String) {
        self.time.push(at, out);
    }

    pub fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    /// One of a few, the first ones more often.
    pub fn skewed<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[rank(&mut self.random, choices.len())]
    }

    /// An amount of money in cents: many small ones, few large ones.
    pub fn cents(&mut self) -> usize {
        let end = [99, 49, 0, 95][self.random.usize(..4)];
        end + (1 + rank(&mut self.random, 400)) * 100
    }
}

impl Session {
    fn new(random: &mut Rng) -> Self {
        let country = rank(random, COUNTRIES.len());
        let agent = rank(random, AGENTS.len());
        let user = match random.u8(..100) {
            ..35 => 0,
            _ => 10_000_019 + rank(random, USERS) as u64 * 7,
        };
        let (ip, anonymous) = (random.u32(..).to_be_bytes(), random.u128(..));
        let phone = DEVICES[agent] == "phone";
        Self {
            id: random.u64(..),
            user,
            anonymous,
            country,
            agent,
            ip,
            screen: match (phone, random.bool()) {
                (true, true) => (390, 844),
                (true, false) => (412, 915),
                (false, true) => (1_920, 1_080),
                (false, false) => (2_560, 1_440),
            },
            new: random.u8(..5) == 0,
            arm: random.usize(..4),
            page: rank(random, PAGES),
        }
    }
}

/// A log-uniform rank below `n`: the first ones often, the last ones seldom.
pub fn rank(random: &mut Rng, n: usize) -> usize {
    let rank = (n as f64 + 1.0).powf(random.f64()) as usize;
    rank.clamp(1, n) - 1
}

/// The three words of a page's or a product's name, the same for the same number.
pub fn words(number: usize) -> [&'static str; 3] {
    let word = |shift: usize| WORDS[(number.wrapping_mul(2_654_435_761) >> shift) & 31];
    [word(3), word(9), word(17)]
}

/// Appends a version 4 UUID.
pub fn uuid(value: u128, out: &mut String) {
    let value = value & !(0xf << 76 | 0x3 << 62) | 4 << 76 | 2 << 62;
    let text = format!("{value:032x}");
    for (i, part) in [0..8, 8..12, 12..16, 16..20, 20..32]
        .into_iter()
        .enumerate()
    {
        if i > 0 {
            out.push('-');
        }
        out.push_str(&text[part]);
    }
}

/// Appends formatted text.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        // Writing to a string cannot fail.
        let _ = ::std::fmt::Write::write_fmt($out, format_args!($($argument)*));
    }};
}
pub(super) use put;

/// Formats times, and remembers the text of the last second.
#[derive(Default)]
struct Clock {
    second: i64,
    text: String,
}

impl Clock {
    fn push(&mut self, at: i64, out: &mut String) {
        let second = at.div_euclid(1_000);
        if self.text.is_empty() || self.second != second {
            self.text.clear();
            let time = chrono::DateTime::from_timestamp(second, 0).unwrap_or_default();
            let _ = write!(self.text, "{}", time.format("%Y-%m-%dT%H:%M:%S"));
            self.second = second;
        }
        put!(out, "{}.{:03}Z", self.text, at.rem_euclid(1_000));
    }
}
