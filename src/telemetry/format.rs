//! Numbers for people.

/// `1234567.0` as `1.23 M`: three figures and a power of a thousand.
pub(super) fn scaled(number: f64) -> String {
    let mut number = number.max(0.0);
    for unit in ["", " k", " M", " G", " T"] {
        if number < 999.5 {
            // Below ten a fraction matters, but a count of 3 is not 3.00.
            let places = match number {
                n if n.fract() == 0.0 && unit.is_empty() => 0,
                n if n < 9.995 => 2,
                n if n < 99.95 => 1,
                _ => 0,
            };
            return format!("{number:.places$}{unit}");
        }
        number /= 1_000.0;
    }
    format!("{number:.0} P")
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn three_figures() {
        for (number, text) in [
            (0.0, "0"),
            (3.0, "3"),
            (3.25, "3.25"),
            (99.97, "100"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (12_345.0, "12.3 k"),
            (1_234_567.0, "1.23 M"),
            (-5.0, "0"),
            (2e18, "2000 P"),
        ] {
            assert_eq!(scaled(number), text);
        }
    }
}
