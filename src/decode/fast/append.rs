//! How what was found goes into a column. Macros, since a closure would not be compiled for the instructions
//! at hand, and be a call.

/// Makes `rows` the column's next row; a column that is past it has met its key before.
macro_rules! pad_to {
    ($rows:expr, $column:expr) => {
        if $column.len() != $rows {
            if $column.len() > $rows {
                return Err(Stop);
            }
            // Unseen, or the place of the null's bit would be computed for every row, nulls or not.
            match std::hint::black_box($column.len()) + 1 == $rows {
                true => $column.push_null(),
                false => $column.pad($rows),
            }
        }
    };
}

/// Appends what was found, or a null, or says that it does not fit.
macro_rules! take {
    ($column:expr, $found:expr) => {
        match $found {
            $crate::decode::fast::numbers::Found::Value(value) => {
                $column.push(value);
                Ok(true)
            }
            $crate::decode::fast::numbers::Found::Null => {
                $column.push_null();
                Ok(true)
            }
            $crate::decode::fast::numbers::Found::Misfit => Ok(false),
        }
    };
}

/// Appends a null, if one stands here; nothing else fits.
macro_rules! null_only {
    ($cursor:expr, $column:expr) => {
        match $crate::decode::fast::numbers::null::<()>($cursor)? {
            $crate::decode::fast::numbers::Found::Null => {
                $column.push_null();
                Ok(true)
            }
            _ => Ok(false),
        }
    };
}

pub(super) use {null_only, pad_to, take};
