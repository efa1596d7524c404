//! Statements sent one behind the other without waiting in between (pipelining): one round trip for all of them.

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll},
};

use tokio_postgres::{Error, Row, types::ToSql};

use super::connection::Connection;

/// A statement and its parameters.
pub(super) struct Order<'p> {
    pub(super) sql: Cow<'static, str>,
    pub(super) parameters: Vec<&'p (dyn ToSql + Sync)>,
}

impl<'p> Order<'p> {
    pub(super) fn new(sql: impl Into<Cow<'static, str>>, parameters: &[&'p (dyn ToSql + Sync)]) -> Self {
        Self { sql: sql.into(), parameters: parameters.to_vec() }
    }
}

/// A statement that is sent when it is first polled.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'a>>;

/// Polls all of them, the first before the second, until each has its answer.
struct InOrder<'a> {
    sending: Vec<Option<Sending<'a>>>,
    answers: Vec<Result<Vec<Row>, Error>>,
}

impl Future for InOrder<'_> {
    type Output = Result<Vec<Vec<Row>>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sending, answers } = &mut *self;
        let mut pending = false;
        for (sending, answer) in sending.iter_mut().zip(answers) {
            let Some(statement) = sending else { continue };
            match statement.as_mut().poll(context) {
                Poll::Ready(answered) => {
                    *answer = answered;
                    *sending = None;
                }
                Poll::Pending => pending = true,
            }
        }
        if pending {
            return Poll::Pending;
        }
        Poll::Ready(self.answers.drain(..).collect())
    }
}

/// Runs statements in this order, and answers the rows of each. The first error is the error of all: what comes behind it
/// in a transaction is not done either.
pub(super) async fn run(connection: &Connection, orders: &[Order<'_>]) -> Result<Vec<Vec<Row>>, Error> {
    // All are prepared before the first is sent: one that still has to be would be overtaken.
    let mut statements = Vec::with_capacity(orders.len());
    for order in orders {
        statements.push(connection.prepared(&order.sql).await?);
    }
    connection.count_round_trip();
    let send = |(order, statement)| -> Option<Sending<'_>> {
        let (order, statement): (&Order<'_>, &tokio_postgres::Statement) = (order, statement);
        Some(Box::pin(connection.client.query(statement, &order.parameters)))
    };
    let sending = orders.iter().zip(&statements).map(send).collect();
    let answers = orders.iter().map(|_| Ok(Vec::new())).collect();
    InOrder { sending, answers }.await
}
