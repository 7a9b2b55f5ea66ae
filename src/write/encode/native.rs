//! The values of fixed width that columns hold, and how each is compared, told apart and written.

use super::{bounds::Extremes, delta};
use parquet::{
    data_type::{ByteArray, FixedLenByteArray},
    file::statistics::{Statistics, ValueStatistics},
};

/// A value of a Parquet physical type of fixed width.
pub(super) trait Native: Copy + Default + PartialOrd {
    /// The ends of the order, NaN aside.
    const LEAST: Self;
    const GREATEST: Self;

    /// Bits by which values are told apart: zeros of both signs differ, a NaN equals its copies.
    fn bits(self) -> u128;

    fn is_nan(self) -> bool {
        false
    }

    /// Appends the plain form of all `values`, each of `width` bytes.
    fn plain(values: &[Self], width: usize, out: &mut Vec<u8>);

    /// Whether the type has a `DELTA_BINARY_PACKED` form.
    const DELTA: bool = false;

    /// Appends that form.
    fn delta(_values: &[Self], _out: &mut Vec<u8>) {}

    /// A column chunk's statistics; `bounds` are its least and greatest value.
    fn statistics(bounds: Option<(Self, Self)>, width: usize, nulls: u64) -> Statistics;

    fn extremes(bounds: (Self, Self)) -> Extremes<'static>;
}

macro_rules! plain {
    ($width:literal) => {
        fn plain(values: &[Self], _width: usize, out: &mut Vec<u8>) {
            let start = out.len();
            out.resize(start + values.len() * $width, 0);
            let (places, _) = out[start..].as_chunks_mut::<$width>();
            for (place, value) in places.iter_mut().zip(values) {
                *place = value.to_le_bytes();
            }
        }
    };
}

macro_rules! integer {
    ($native:ty, $bits:ty, $width:literal, $statistics:ident) => {
        impl Native for $native {
            const LEAST: Self = <$native>::MIN;
            const GREATEST: Self = <$native>::MAX;

            fn bits(self) -> u128 {
                (self as $bits).into()
            }

            plain!($width);

            const DELTA: bool = true;

            fn delta(values: &[Self], out: &mut Vec<u8>) {
                delta::encode(values, out);
            }

            fn statistics(bounds: Option<(Self, Self)>, _width: usize, nulls: u64) -> Statistics {
                Statistics::$statistics(signed(bounds, nulls))
            }

            fn extremes((min, max): (Self, Self)) -> Extremes<'static> {
                Extremes::Integer(min.into(), max.into())
            }
        }
    };
}
integer!(i32, u32, 4, Int32);
integer!(i64, u64, 8, Int64);

macro_rules! float {
    ($native:ty, $width:literal, $statistics:ident) => {
        impl Native for $native {
            const LEAST: Self = <$native>::NEG_INFINITY;
            const GREATEST: Self = <$native>::INFINITY;

            fn bits(self) -> u128 {
                self.to_bits().into()
            }

            fn is_nan(self) -> bool {
                <$native>::is_nan(self)
            }

            plain!($width);

            /// The specification wants zero bounds to cover zeros of both signs.
            fn statistics(bounds: Option<(Self, Self)>, _width: usize, nulls: u64) -> Statistics {
                let bounds = bounds.map(|(min, max)| {
                    (
                        if min == 0.0 { -0.0 } else { min },
                        if max == 0.0 { 0.0 } else { max },
                    )
                });
                Statistics::$statistics(signed(bounds, nulls))
            }

            fn extremes((min, max): (Self, Self)) -> Extremes<'static> {
                Extremes::Float(min.into(), max.into())
            }
        }
    };
}
float!(f32, 4, Float);
float!(f64, 8, Double);

/// Decimals too wide for a 64-bit integer: big-endian in as few bytes as their precision needs.
impl Native for i128 {
    const LEAST: Self = i128::MIN;
    const GREATEST: Self = i128::MAX;

    fn bits(self) -> u128 {
        self as u128
    }

    fn plain(values: &[Self], width: usize, out: &mut Vec<u8>) {
        out.reserve(values.len() * width);
        for value in values {
            out.extend_from_slice(&value.to_be_bytes()[16 - width..]);
        }
    }

    fn statistics(bounds: Option<(Self, Self)>, width: usize, nulls: u64) -> Statistics {
        let bytes = |value: i128| -> FixedLenByteArray {
            ByteArray::from(value.to_be_bytes()[16 - width..].to_vec()).into()
        };
        let bounds = bounds.map(|(min, max)| (bytes(min), bytes(max)));
        Statistics::FixedLenByteArray(signed(bounds, nulls))
    }

    fn extremes((min, max): (Self, Self)) -> Extremes<'static> {
        Extremes::Decimal(min, max)
    }
}

/// Of types in signed order old readers know the deprecated fields, which are written beside the new ones.
pub(super) fn signed<T>(bounds: Option<(T, T)>, nulls: u64) -> ValueStatistics<T> {
    let (min, max) = bounds.unzip();
    ValueStatistics::new(min, max, None, Some(nulls), false).with_backwards_compatible_min_max(true)
}
