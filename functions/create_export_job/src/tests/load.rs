//! The limit of running jobs.

use super::*;

impl World {
    /// A stack that lets so many jobs of a sandbox run at a time.
    fn letting(max_running_jobs: usize) -> Self {
        Self { settings: Settings { max_running_jobs }, ..Self::new() }
    }

    /// Ends a job, as if it had failed.
    async fn end(&self, reply: &Value) {
        let failing = self.record(reply).await.unwrap().job.fail(Vec::new(), self.clock.now()).unwrap();
        self.jobs.swap(&failing).await.unwrap();
        self.jobs.swap(&failing.end_fail(self.clock.now()).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn beyond_the_limit_a_job_is_refused_until_another_has_ended() {
    let world = World::letting(2);
    let jobs = [world.post(&smallest()).await, world.post(&smallest()).await];
    assert_eq!(jobs.each_ref().map(status), [200, 200]);
    world.queue.take();
    for _ in 0..2 {
        let refused = world.post(&smallest()).await;
        assert_eq!((status(&refused), &refused["headers"]["Retry-After"]), (429, &json!("5")));
        assert_eq!(refused["body"]["title"], "2 export jobs of this sandbox are running; no more may at a time.");
        assert_eq!(refused["body"]["errors"]["429"][0]["code"], "UPAPI-113041-429");
    }
    assert_eq!(world.queue.take(), [], "nothing is left behind");
    world.end(&jobs[0]).await;
    assert_eq!(status(&world.post(&smallest()).await), 200);
    assert_eq!(status(&world.post(&smallest()).await), 429);
}

#[tokio::test]
async fn another_sandboxs_jobs_do_not_count() {
    let world = World::letting(1);
    let other = Tenant::new("1BD6382559DF0C130A49422D@AdobeOrg", "stage").unwrap();
    world.jobs.create(&fixtures::job(&other, 1), None, fixtures::NOW).await.unwrap();
    assert_eq!(status(&world.post(&smallest()).await), 200);
}

#[tokio::test]
async fn a_key_gives_its_job_again_at_the_limit_and_is_not_used_up_by_a_refusal() {
    let world = World::letting(1);
    let send = async |key| world.send(&smallest().to_string(), &[("idempotency-key", key)]).await;
    let first = send("a").await;
    assert_eq!(status(&send("b").await), 429);
    let again = send("a").await;
    assert_eq!((status(&again), id_of(&again)), (200, id_of(&first)));
    world.end(&first).await;
    let second = send("b").await;
    assert_eq!(status(&second), 200);
    assert_ne!(id_of(&second), id_of(&first));
}

#[tokio::test]
async fn what_can_never_work_is_told_before_the_limit() {
    let world = World::letting(1);
    world.post(&smallest()).await;
    assert_eq!(status(&world.post(&json!({})).await), 400);
}

#[tokio::test]
async fn a_count_that_cannot_be_had_is_503_and_makes_no_job() {
    let world = World::letting(1);
    world.jobs.fail_next("running", Fault::AfterEffect);
    assert_eq!(status(&world.post(&smallest()).await), 503);
    assert_eq!(world.queue.take(), []);
    assert_eq!(status(&world.post(&smallest()).await), 200);
}
