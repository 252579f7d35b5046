//! What becomes of the pages while the server refuses, and after.

use super::*;

/// For ten seconds the server refuses everything. Soon after, everything goes as before.
#[tokio::test(start_paused = true)]
async fn an_outage_is_made_up_for() {
    for says in [Says::Nothing, Says::WholeSeconds] {
        let model = Model::documented(25);
        let bucket = Mutex::new(Bucket::new(20.0, 20.0));
        let began = Instant::now();
        let (client, _) = Scripted::with_retry(RetryPolicy::default(), move |ask, number| {
            let now = Instant::now();
            let is_out = (30..40).contains(&(now - began).as_secs());
            let taken = bucket.lock().unwrap().take(now);
            let reply = match taken {
                Ok(()) if !is_out => answer(&model, ask, number),
                _ => Reply::Status(429, (says == Says::WholeSeconds).then_some(SECOND)),
            };
            Reply::Late(LATENCY, Box::new(reply))
        });
        join_all((0..400).map(|_| read(chat(&client)))).await;
        let took = began.elapsed().as_secs_f64();
        // 1,180 requests at 20 a second, and the ten seconds.
        assert!(took < 1.35 * (59.0 + 10.0), "{says:?}: {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_pace_of_the_callers_own_does_not_count_for_a_page_that_is_refused() {
    let model = Model::documented(5);
    let (client, transport) =
        Scripted::with_retry(RetryPolicy::default(), move |ask, number| match number {
            1 => Reply::Status(429, Some(SECOND)),
            _ => answer(&model, ask, number),
        });
    let client = client.with_pace(0.005);
    for _ in 0..2 {
        chat(&client).next().await.unwrap().unwrap();
    }
    assert_eq!(transport.count(), 3);
}

/// Whoever was in the queue before waits as long as everybody else, counted from when the server asked.
#[tokio::test(start_paused = true)]
async fn the_wait_before_the_server_asks_does_not_count() {
    // A pause of which no more than a minute is left after a minute is waited for; a longer one is not.
    for (asked, fail) in [(90, 0), (200, 29)] {
        let model = Model::documented(5);
        let (client, transport) =
            Scripted::with_retry(RetryPolicy::default(), move |ask, number| match number {
                70 => Reply::Status(429, Some(asked * SECOND)),
                _ => answer(&model, ask, number),
            });
        let client = client.with_pace(1.0);
        let began = Instant::now();
        let ends = join_all((0..100).map(|_| async {
            let outcome = chat(&client).next().await.unwrap();
            outcome.err().map(|_| began.elapsed().as_secs())
        }))
        .await;
        let at = |time: u64| ends.iter().flatten().filter(|at| **at == time).count();
        // The page that was refused fails at once.
        assert_eq!((at(70), at(130)), (1, fail), "{ends:?}");
        assert_eq!((ends.iter().flatten().count(), transport.count()), (1 + fail, 100 - fail));
    }
}
