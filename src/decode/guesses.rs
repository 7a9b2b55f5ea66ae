//! Which field a name may be: one look in a table, and no proof.

use super::keys::fold;

/// Which field a name may be by its length and its first eight bytes.
pub(super) struct Guesses {
    /// Indices of fields; [`NO_GUESS`] where there is none.
    fields: Box<[u32; GUESSES]>,
    factor: u64,
}

const GUESSES: usize = 1 << u8::BITS;

const NO_GUESS: u32 = u32::MAX;

/// Odd numbers tried as factors, for the one with which the fewest names meet.
const FACTORS: u64 = 32;

impl Default for Guesses {
    fn default() -> Self {
        Self {
            fields: Box::new([NO_GUESS; GUESSES]),
            factor: 1,
        }
    }
}

impl Guesses {
    #[inline(always)]
    fn slot(word: u64, length: usize, factor: u64) -> u8 {
        let used = match length {
            0..8 => word & !(u64::MAX << (8 * length)),
            _ => word,
        };
        ((used.wrapping_add(length as u64)).wrapping_mul(factor) >> 56) as u8
    }

    /// Which field a name of this length may be, by its first eight bytes, whatever stands behind it; no
    /// field's index where it is none.
    #[inline(always)]
    pub(super) fn field(&self, word: u64, length: usize) -> u32 {
        self.fields[usize::from(Self::slot(word, length, self.factor))]
    }

    /// Of names: their first eight bytes, zeros behind the end, their lengths and their fields.
    pub(super) fn of(names: &[(u64, usize, u32)]) -> Self {
        let tried = (0..FACTORS).map(|i| {
            let mut guesses = Guesses {
                factor: fold(i + 1) | 1,
                ..Guesses::default()
            };
            let mut met = 0;
            for &(word, length, field) in names {
                let slot = Self::slot(word, length, guesses.factor);
                match &mut guesses.fields[usize::from(slot)] {
                    free @ &mut NO_GUESS => *free = field,
                    _ => met += 1,
                }
            }
            (met, guesses)
        });
        let best = tried.min_by_key(|(met, _)| *met);
        best.map(|(_, guesses)| guesses).unwrap_or_default()
    }
}

#[test]
fn names_are_guessed_by_length_and_first_bytes() {
    let names = [
        "id",
        "ip",
        "user_id",
        "user_ip",
        "created_at",
        "created_by_whom",
    ];
    let word = |name: &str, behind: u8| {
        let mut bytes = [behind; 8];
        bytes
            .iter_mut()
            .zip(name.bytes())
            .for_each(|(to, from)| *to = from);
        u64::from_le_bytes(bytes)
    };
    let known: Vec<_> = (names.iter().zip(0..))
        .map(|(name, field)| (word(name, 0), name.len(), field))
        .collect();
    let guesses = Guesses::of(&known);
    for (name, field) in names.iter().zip(0..) {
        for behind in [0, b'"', 0xff] {
            assert_eq!(
                guesses.field(word(name, behind), name.len()),
                field,
                "{name}"
            );
        }
    }
    assert_eq!(Guesses::of(&[]).field(0, 0), NO_GUESS);
}
