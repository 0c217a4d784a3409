//! Whether a session is one's own.
//!
//! Behind a pooler in transaction mode each transaction runs in whatever session of the server is free, and other clients set
//! that to something else. Tables would be looked for in another schema, and a lock would be another client's. In session
//! mode a session is a client's own until it leaves.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Integer;
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl};
use parking_lot::Mutex;

/// What is said of a session that is not.
pub(crate) const SHARED: &str = "several clients share one session of the server, as behind a pooler in transaction mode; \
                                 set the pooler to session mode (PgBouncer: pool_mode = session), or connect past it";

/// What is added where the first transaction of a session ended it: libpq does not hand out what a pooler says then.
pub(crate) const ENDED: &str = "the session ended in its first transaction, as behind a pooler in statement mode, which has \
                                to be set to session mode";

/// Timeouts that a role brings along end no question of ours.
const BEGIN: &str = "begin; set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0";

/// One asks at a time: others of this process would take the free session in between.
static ASKING: Mutex<()> = Mutex::new(());

/// How often it is asked: other programs may take it, too.
const ROUNDS: usize = 3;

/// Whether two clients, both connected, share sessions of the server. A pooler gives the free session to whichever client
/// begins a transaction, and gives another one while that lasts.
///
/// # Errors
/// When the server can't be asked. In statement mode a pooler refuses transactions, and says so.
pub(crate) fn is_shared(first: &mut PgConnection, second: &mut PgConnection) -> QueryResult<bool> {
    let _one = ASKING.lock();
    for _ in 0..ROUNDS {
        let before = in_transaction(first, session)?;
        let is_shared = in_transaction(second, |second| {
            Ok(session(second)? == before || in_transaction(first, session)? != before)
        })?;
        if is_shared {
            return Ok(true);
        }
    }
    Ok(false)
}

fn in_transaction<T>(
    connection: &mut PgConnection,
    ask: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    connection.batch_execute(BEGIN)?;
    let answer = ask(connection);
    connection.batch_execute("rollback")?;
    answer
}

/// The process of the server that serves a transaction.
fn session(connection: &mut PgConnection) -> QueryResult<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    let Row { pid } = diesel::sql_query("select pg_backend_pid() as pid").get_result(connection)?;
    Ok(pid)
}
