//! PostgreSQL, which any number of processes on any number of machines write at once.
//!
//! A process claims a chat for the time of a lease, and renews the lease while it reads. Each claim has a number of its
//! own, and whoever writes shows it: a process that was stopped for longer than its lease can write nothing to a chat
//! that another has taken over.

use std::error::Error;
use std::process;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::records::{Batch, Claim, Due, Found, FoundColumns, Result, Written};
use crate::row::Row;

pub(crate) struct Postgres {
    name: String,
    pool: PgPool,
    lease: Duration,
}

const TO_CONNECT: Duration = Duration::from_secs(15);
/// That one process at a time makes the tables; any number that others will hardly use.
const MAKING_TABLES: i64 = 0x7465_7874_6572;

impl Postgres {
    pub(super) async fn open(
        url: &str,
        lease: Duration,
    ) -> std::result::Result<Self, Box<dyn Error>> {
        let database = Self { lease, ..Self::connect(url).await? };
        let prepared = database.make_tables().await;
        prepared.map_err(|error| format!("{}: {error}", database.name))?;
        Ok(database)
    }

    pub(super) async fn connect(url: &str) -> std::result::Result<Self, Box<dyn Error>> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| "--database: no address of a PostgreSQL database; it looks like postgres://user:password@host/database")?
            .application_name("archive");
        let user = options.get_username();
        let database = options.get_database().unwrap_or(user);
        let name = format!("database {database} at {}", options.get_host());
        // NOTE: the pool tries again and again where nobody answers, and then says no more than that it waited.
        let first = timeout(TO_CONNECT, options.connect()).await;
        let first =
            first.map_err(|_| format!("{name}: it does not answer; check host and port"))?;
        let first = first.map_err(|error| format!("{name}: {error}"))?;
        first.close().await.map_err(|error| format!("{name}: {error}"))?;
        let pool = PgPoolOptions::new().acquire_timeout(TO_CONNECT).connect_lazy_with(options);
        Ok(Self { name, pool, lease: Duration::ZERO })
    }

    async fn make_tables(&self) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(MAKING_TABLES)
            .execute(&mut *transaction)
            .await?;
        // Not to be told of every table that is there already.
        sqlx::raw_sql("SET LOCAL client_min_messages = warning").execute(&mut *transaction).await?;
        sqlx::raw_sql(include_str!("postgres.sql")).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    pub(super) async fn close(self) {
        self.pool.close().await;
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn now(&self) -> Result<i64> {
        let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        sqlx::query_scalar(query).fetch_one(&self.pool).await
    }

    pub(super) async fn add_chats(&self, chats: &[String]) -> Result<()> {
        // In one order, so that two processes never wait for each other.
        let query = "INSERT INTO chats (id) SELECT DISTINCT id FROM unnest($1::text[]) AS new (id) ORDER BY id
            ON CONFLICT DO NOTHING";
        sqlx::query(query).bind(chats).execute(&self.pool).await.map(|_| ())
    }

    pub(super) async fn count_chats(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT count(*) FROM chats").fetch_one(&self.pool).await
    }

    pub(super) async fn claim(&self, due: &Due<'_>) -> Result<Option<Claim>> {
        // NOTE: what was read in the future was read by a clock that has been put right since.
        let query = sqlx::query_as(
            "UPDATE chats SET claim = claim + 1, lease_until = clock_timestamp() + make_interval(secs => $4),
                holder = coalesce(host(inet_client_addr()), 'this machine') || ', process ' || $5
            WHERE id = (
                SELECT id FROM chats
                WHERE ($1::text[] IS NULL OR id = ANY ($1)) AND id <> ALL ($2)
                    AND (synced_at IS NULL OR synced_at < $3
                        OR synced_at > extract(epoch FROM now()) * 1000)
                    AND (lease_until IS NULL OR lease_until < now())
                ORDER BY synced_at NULLS FIRST LIMIT 1
                FOR UPDATE SKIP LOCKED
            )
            RETURNING id, claim, refreshed_at, (extract(epoch FROM now()) * 1000)::bigint",
        );
        let query = query.bind(due.chats).bind(&due.except).bind(due.before);
        let query = query.bind(self.lease.as_secs_f64()).bind(i64::from(process::id()));
        let claimed: Option<(String, i64, Option<i64>, i64)> =
            query.fetch_optional(&self.pool).await?;
        let Some((chat, number, refreshed_at, claimed_at)) = claimed else { return Ok(None) };
        // From here on nobody else can move it.
        let checkpoint = sqlx::query_scalar("SELECT checkpoint FROM checkpoints WHERE chat = $1");
        let checkpoint = checkpoint.bind(&chat).fetch_optional(&self.pool).await?;
        let lease = Some(self.lease);
        Ok(Some(Claim { chat, number, claimed_at, refreshed_at, checkpoint, lease }))
    }

    pub(super) async fn holders(&self, due: &Due<'_>) -> Result<Vec<Option<String>>> {
        let query = sqlx::query_scalar(
            "SELECT DISTINCT holder FROM chats
            WHERE ($1::text[] IS NULL OR id = ANY ($1)) AND id <> ALL ($2)
                AND (synced_at IS NULL OR synced_at < $3
                    OR synced_at > extract(epoch FROM clock_timestamp()) * 1000)",
        );
        query.bind(due.chats).bind(&due.except).bind(due.before).fetch_all(&self.pool).await
    }

    pub(super) async fn renew(&self, claim: &Claim) -> Result<bool> {
        Ok(renew(&self.pool, claim, self.lease).await? == 1)
    }

    pub(super) async fn write(&self, claim: &Claim, batch: &Batch) -> Result<Option<Written>> {
        let mut transaction = self.pool.begin().await?;
        // First, so that nobody can take the chat over before the transaction has ended.
        if renew(&mut *transaction, claim, self.lease).await? == 0 {
            return Ok(None);
        }
        let rows = &batch.rows;
        // NOTE: an id comes twice only where a message was moved to another time; the later one counts.
        let query = sqlx::query_scalar(
            "INSERT INTO messages AS old (chat, id, timestamp, direction, kind, status, text, json, words)
            SELECT DISTINCT ON (id) $1, id, timestamp, direction, kind, status, text, json,
                array_to_tsvector(string_to_array(words, ' '))
            FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
                $9::text[]) WITH ORDINALITY AS new (id, timestamp, direction, kind, status, text, json, words, place)
            ORDER BY id, place DESC
            ON CONFLICT (chat, id) DO UPDATE SET timestamp = excluded.timestamp, direction = excluded.direction,
                kind = excluded.kind, status = excluded.status, text = excluded.text, json = excluded.json,
                words = excluded.words
            WHERE old.json <> excluded.json
            RETURNING xmax = 0",
        );
        let query = query.bind(&claim.chat);
        let query = query.bind(column(rows, |row| row.id.as_str()));
        let query = query.bind(column(rows, |row| row.timestamp));
        let query = query.bind(column(rows, |row| row.direction.as_deref()));
        let query = query.bind(column(rows, |row| row.kind.as_deref()));
        let query = query.bind(column(rows, |row| row.status));
        let query = query.bind(column(rows, |row| row.text.as_deref()));
        let query = query.bind(column(rows, |row| row.json.as_str()));
        let query = query.bind(column(rows, |row| row.words.as_str()));
        let is_new: Vec<bool> = query.fetch_all(&mut *transaction).await?;
        let new = is_new.iter().filter(|is_new| **is_new).count();
        let mut written =
            Written { new: new as u64, changed: (is_new.len() - new) as u64, ..Written::default() };
        for unreadable in &batch.unreadable {
            let done =
                sqlx::query("INSERT INTO unreadable VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                    .bind(&claim.chat)
                    .bind(&unreadable.json)
                    .bind(&unreadable.reason)
                    .execute(&mut *transaction)
                    .await?;
            written.unreadable += done.rows_affected();
        }
        if let Some(checkpoint) = &batch.checkpoint {
            let query = sqlx::query(
                "INSERT INTO checkpoints VALUES ($1, $2)
                ON CONFLICT (chat) DO UPDATE SET checkpoint = excluded.checkpoint",
            );
            query.bind(&claim.chat).bind(checkpoint).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Some(written))
    }

    pub(super) async fn finish(&self, claim: &Claim, refreshed: bool) -> Result<()> {
        let query = sqlx::query(
            "UPDATE chats SET lease_until = NULL, holder = NULL, synced_at = $3,
                refreshed_at = CASE WHEN $4 THEN $3 ELSE refreshed_at END
            WHERE id = $1 AND claim = $2",
        );
        let query = query.bind(&claim.chat).bind(claim.number).bind(claim.claimed_at);
        query.bind(refreshed).execute(&self.pool).await.map(|_| ())
    }

    pub(super) async fn release(&self, claim: &Claim) -> Result<()> {
        let query =
            "UPDATE chats SET lease_until = NULL, holder = NULL WHERE id = $1 AND claim = $2";
        let query = sqlx::query(query).bind(&claim.chat).bind(claim.number);
        query.execute(&self.pool).await.map(|_| ())
    }

    pub(super) async fn forget_unread(&self, chat: &str) -> Result<()> {
        let query = sqlx::query(
            "DELETE FROM chats WHERE id = $1 AND synced_at IS NULL AND holder IS NULL
                AND NOT EXISTS (SELECT 1 FROM messages WHERE chat = $1)
                AND NOT EXISTS (SELECT 1 FROM unreadable WHERE chat = $1)
                AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE chat = $1)",
        );
        query.bind(chat).execute(&self.pool).await.map(|_| ())
    }

    pub(super) async fn search(
        &self,
        words: &[String],
        chat: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Found>> {
        // The words are letters and digits, so there is nothing to escape.
        let words: Vec<String> = words.iter().map(|word| format!("'{word}':*")).collect();
        let query = sqlx::query_as(
            "SELECT chat, timestamp, direction, status, text FROM messages
            WHERE words @@ $1::text::tsquery AND ($2::text IS NULL OR chat = $2)
            ORDER BY timestamp DESC, id DESC LIMIT $3",
        );
        let query = query.bind(words.join(" & ")).bind(chat).bind(i64::from(limit));
        let found: Vec<FoundColumns> = query.fetch_all(&self.pool).await?;
        Ok(found.into_iter().map(Found::from).collect())
    }
}

async fn renew(executor: impl sqlx::PgExecutor<'_>, claim: &Claim, lease: Duration) -> Result<u64> {
    let query = sqlx::query(
        "UPDATE chats SET lease_until = clock_timestamp() + make_interval(secs => $3)
        WHERE id = $1 AND claim = $2",
    );
    let query = query.bind(&claim.chat).bind(claim.number).bind(lease.as_secs_f64());
    Ok(query.execute(executor).await?.rows_affected())
}

/// A column of the rows, to be sent as one array.
fn column<'a, T>(rows: &'a [Row], field: impl Fn(&'a Row) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}
