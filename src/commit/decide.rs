//! What to do next about a commit, from what the log shows: the rules of `exactly-once.md` as a
//! pure function.

use crate::event::Offset;

/// One source partition of a commit, and what a snapshot shows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The position the commit starts from (rule 1).
    pub expected: Option<Offset>,
    /// The position the commit leaves behind.
    pub end: Offset,
    /// The position the snapshot shows.
    pub stored: Option<Offset>,
}

/// One mark of a commit, and what a snapshot shows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkClaim {
    pub version: Offset,
    pub stored: Option<Offset>,
}

/// What a snapshot shows of a commit.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub claims: &'a [Claim],
    pub marks: &'a [MarkClaim],
    /// The snapshot's `metaData.id` is the one that positions were read under (rule 6).
    pub same_table: bool,
    /// The files still fit the snapshot's schema (rule 4).
    pub fits: bool,
    /// Every file is younger than half the shortest clean-up retention (rule 8).
    pub fresh: bool,
}

/// What to do with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every range stands in the table.
    Landed,
    /// The snapshot shows every range at its start: build on exactly this snapshot.
    Commit,
    /// The files cannot be named any more: encode the ranges again.
    Stale,
    /// Another writer moved a position; the index is that of the first such claim.
    Fenced { index: usize },
    /// The table at this location is another one than before.
    Replaced,
}

/// Decides from one snapshot. Nothing else may decide: not an answer to a PUT, not an older snapshot.
///
/// Rules, in the order they are asked:
/// - rule 6: another `metaData.id` ends it;
/// - rule 3: all positions at `end` is a commit that landed, whatever its answer was. A marks-only
///   commit has landed when no mark would move;
/// - rules 2 and 5: any position not at `expected` fences; absent equals only absent, and some at
///   the start with some at the end is nobody's commit of ours;
/// - rules 4 and 8: files that no longer fit, or may have been swept, are not named.
pub fn decide(evidence: &Evidence<'_>) -> Decision {
    if !evidence.same_table {
        return Decision::Replaced;
    }
    let landed = |claim: &Claim| claim.stored == Some(claim.end);
    if evidence.claims.is_empty() {
        if evidence
            .marks
            .iter()
            .all(|mark| mark.stored >= Some(mark.version))
        {
            return Decision::Landed;
        }
    } else if evidence.claims.iter().all(landed) {
        return Decision::Landed;
    }
    if let Some(index) = evidence
        .claims
        .iter()
        .position(|claim| claim.stored != claim.expected)
    {
        return Decision::Fenced { index };
    }
    if !evidence.fits || !evidence.fresh {
        return Decision::Stale;
    }
    Decision::Commit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(expected: Option<u64>, end: u64, stored: Option<u64>) -> Claim {
        Claim {
            expected,
            end,
            stored,
        }
    }

    fn judge(claims: &[Claim]) -> Decision {
        decide(&Evidence {
            claims,
            marks: &[],
            same_table: true,
            fits: true,
            fresh: true,
        })
    }

    #[test]
    fn rule_2_only_the_expected_position_lets_a_put_go() {
        assert_eq!(judge(&[claim(Some(5), 9, Some(5))]), Decision::Commit);
        assert_eq!(judge(&[claim(None, 9, None)]), Decision::Commit);
        assert_eq!(
            judge(&[claim(Some(5), 9, Some(4))]),
            Decision::Fenced { index: 0 }
        );
        assert_eq!(
            judge(&[claim(Some(5), 9, Some(6))]),
            Decision::Fenced { index: 0 }
        );
    }

    #[test]
    fn absent_equals_only_absent() {
        assert_eq!(
            judge(&[claim(None, 9, Some(0))]),
            Decision::Fenced { index: 0 }
        );
        assert_eq!(
            judge(&[claim(Some(0), 9, None)]),
            Decision::Fenced { index: 0 }
        );
    }

    #[test]
    fn rule_3_all_at_end_has_landed_even_if_the_schema_moved_on() {
        let claims = [claim(Some(5), 9, Some(9)), claim(None, 3, Some(3))];
        assert_eq!(judge(&claims), Decision::Landed);
        let moved = Evidence {
            claims: &claims,
            marks: &[],
            same_table: true,
            fits: false,
            fresh: false,
        };
        assert_eq!(decide(&moved), Decision::Landed);
    }

    #[test]
    fn rule_5_some_at_start_and_some_at_end_is_fenced() {
        let claims = [claim(Some(5), 9, Some(5)), claim(Some(0), 3, Some(3))];
        assert_eq!(judge(&claims), Decision::Fenced { index: 1 });
    }

    #[test]
    fn rules_4_and_8_stale_files_are_not_named() {
        let claims = [claim(Some(5), 9, Some(5))];
        for (fits, fresh) in [(false, true), (true, false), (false, false)] {
            let evidence = Evidence {
                claims: &claims,
                marks: &[],
                same_table: true,
                fits,
                fresh,
            };
            assert_eq!(decide(&evidence), Decision::Stale);
        }
    }

    #[test]
    fn rule_6_another_table_ends_it() {
        let evidence = Evidence {
            claims: &[claim(Some(5), 9, Some(9))],
            marks: &[],
            same_table: false,
            fits: true,
            fresh: true,
        };
        assert_eq!(decide(&evidence), Decision::Replaced);
    }

    #[test]
    fn marks_alone_land_when_none_would_move() {
        let judge = |stored| {
            decide(&Evidence {
                claims: &[],
                marks: &[MarkClaim { version: 7, stored }],
                same_table: true,
                fits: true,
                fresh: true,
            })
        };
        assert_eq!(judge(None), Decision::Commit);
        assert_eq!(judge(Some(6)), Decision::Commit);
        assert_eq!(judge(Some(7)), Decision::Landed);
        assert_eq!(judge(Some(8)), Decision::Landed);
    }

    /// Every small case against the rules said another way.
    #[test]
    fn exhaustively_agrees_with_the_rules() {
        let positions = [None, Some(0), Some(1), Some(2)];
        let mut cases = Vec::new();
        for expected in positions {
            for end in 1..=2 {
                for stored in positions {
                    if expected.is_none_or(|at| at < end) {
                        cases.push(claim(expected, end, stored));
                    }
                }
            }
        }
        for a in &cases {
            for b in &cases {
                let claims = [*a, *b];
                let at_end = claims.iter().all(|c| c.stored == Some(c.end));
                let at_start = claims.iter().all(|c| c.stored == c.expected);
                match judge(&claims) {
                    Decision::Landed => assert!(at_end, "{claims:?}"),
                    Decision::Commit => assert!(at_start && !at_end, "{claims:?}"),
                    Decision::Fenced { .. } => assert!(!at_end && !at_start, "{claims:?}"),
                    other => panic!("{other:?} for {claims:?}"),
                }
            }
        }
    }
}
