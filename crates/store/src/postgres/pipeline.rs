//! Pipelining: statements are sent one behind the other without waiting for the answers in between, in one round trip.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use super::connection::Connection;
use crate::rows::{Parameter, RowFormat};

/// The value of a parameter.
pub(super) type BoxedParameter<'p> = Box<dyn ToSql + Sync + Send + 'p>;

/// A statement and its parameters.
pub(super) struct BoundStatement<'p> {
    sql: Cow<'static, str>,
    parameters: Vec<BoxedParameter<'p>>,
}

impl<'p> BoundStatement<'p> {
    pub(super) fn new(sql: impl Into<Cow<'static, str>>, parameters: Vec<BoxedParameter<'p>>) -> Self {
        Self { sql: sql.into(), parameters }
    }

    /// Inserts rows; `on_conflict` selects what happens to those that exist already.
    pub(super) fn insert<R: 'p, const N: usize>(
        format: &RowFormat<R, N>,
        rows: impl IntoIterator<Item = &'p R>,
        on_conflict: &str,
    ) -> Self {
        let mut arrays = [const { Vec::new() }; N];
        for row in rows {
            arrays.iter_mut().zip((format.values)(row)).for_each(|(array, value)| array.push(value));
        }
        let types = format.types.iter().enumerate().map(|(at, kind)| format!("${}::{kind}[]", at + 1));
        let sql = format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest({}){on_conflict}",
            format.table,
            format.columns,
            types.collect::<Vec<_>>().join(", ")
        );
        Self::new(sql, arrays.into_iter().map(|array: Vec<Parameter<'p>>| Box::new(array) as _).collect())
    }
}

/// The answer to a statement, which is sent at the first poll.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'a>>;

/// Polls the statements in order until all are answered.
struct Pipeline<'a> {
    pending: Vec<Option<Answer<'a>>>,
    answers: Vec<Result<Vec<Row>, Error>>,
}

impl Future for Pipeline<'_> {
    type Output = Result<Vec<Vec<Row>>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { pending, answers } = &mut *self;
        let mut is_pending = false;
        for (pending, answer) in pending.iter_mut().zip(answers) {
            let Some(statement) = pending else { continue };
            match statement.as_mut().poll(context) {
                Poll::Ready(answered) => {
                    *answer = answered;
                    *pending = None;
                }
                Poll::Pending => is_pending = true,
            }
        }
        if is_pending {
            return Poll::Pending;
        }
        Poll::Ready(self.answers.drain(..).collect())
    }
}

/// Runs statements in this order, and returns the rows of each. The first error is the error of all: inside a transaction, the
/// statements behind it fail, too.
pub(super) async fn run(
    connection: &Connection,
    bound: &[BoundStatement<'_>],
) -> Result<Vec<Vec<Row>>, Error> {
    // All are prepared before the first is sent: one that still had to be prepared would be overtaken.
    let mut statements = Vec::with_capacity(bound.len());
    for one in bound {
        statements.push(connection.prepared(&one.sql).await?);
    }
    connection.count_round_trip();
    let pending =
        bound.iter().zip(statements).map(|(bound, statement)| Some(send(connection, bound, statement)));
    let pending = pending.collect();
    let answers = bound.iter().map(|_| Ok(Vec::new())).collect();
    Pipeline { pending, answers }.await
}

fn send<'a>(connection: &'a Connection, bound: &'a BoundStatement<'_>, statement: Statement) -> Answer<'a> {
    let parameters: Vec<&(dyn ToSql + Sync)> = bound.parameters.iter().map(|value| &**value as _).collect();
    Box::pin(async move { connection.client.query(&statement, &parameters).await })
}
