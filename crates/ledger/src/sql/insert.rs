//! Many rows by one statement.

use std::fmt::Write;

use super::{Connection, Statements, Value};

/// The most rows of one statement. A statement of many rows costs about what one of a single
/// row costs, apart from its values.
const ROWS_MAX: usize = 32;

/// Inserts rows of equal width; `conflict` ends the statement. How many rows it changed.
///
/// Statements come in few sizes, so that the driver keeps them prepared.
pub(crate) async fn insert(
    connection: &mut Connection,
    table: &str,
    columns: &[&str],
    rows: &[Vec<Value<'_>>],
    conflict: &str,
) -> Result<u64, sqlx::Error> {
    let mut changed = 0;
    let mut rest = rows;
    while !rest.is_empty() {
        // The largest power of two that is not above what is left.
        let count = 1 << rest.len().min(ROWS_MAX).ilog2();
        let (now, later) = rest.split_at(count);
        let values: Vec<_> = now.iter().flatten().copied().collect();
        changed += connection.execute(statement(table, columns, count, conflict), &values).await?;
        rest = later;
    }
    Ok(changed)
}

fn statement(table: &str, columns: &[&str], rows: usize, conflict: &str) -> String {
    let mut text = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns.len() {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}${}", row * columns.len() + column + 1);
        }
        text.push(')');
    }
    text.push_str(conflict);
    text
}

#[cfg(test)]
mod tests {
    use super::statement;

    #[test]
    fn values_are_numbered_row_by_row() {
        assert_eq!(
            statement("t", &["a", "b"], 2, " ON CONFLICT DO NOTHING"),
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING"
        );
    }
}
