//! The adapters over the wire: held to the ports' promises on the local emulators, and to what the protocol says of
//! unclear answers on a server that answers as it is told to.
#![allow(clippy::unwrap_used)]

mod catalog;
mod cut;
mod layout;
mod neighbours;
mod pipe;
mod script;
mod stores;
mod tenants;
mod unclear;

use domain::ports::objects::Location;
use std::time::Duration;
use stores::Stores;
use testkit::conformance;

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_keeps_the_promises_of_the_job_ports() {
    let stores = Stores::start().await;
    conformance::jobs(stores.jobs()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_keeps_the_promises_of_the_registry_ports() {
    let stores = Stores::start().await;
    conformance::registry(stores.registry()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_promises_of_the_object_ports() {
    let stores = Stores::start().await;
    conformance::objects(stores.clients.objects(), Location::new(&stores.bucket, "contract/")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn glue_keeps_the_promises_of_the_catalog() {
    let stores = Stores::start().await;
    lake::conformance::catalog(stores.glue(&stores.emulators.glue.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_keeps_the_promises_of_the_queue_port() {
    let stores = Stores::start().await;
    let queues = stores.emulators.sqs.queues();
    let receive = async || {
        let received = queues.receive(&stores.queue, 10, Duration::ZERO).await.unwrap();
        received.iter().map(|m| domain::message::Message::from_json(&m.body).unwrap()).collect()
    };
    conformance::queue(stores.queue(), receive).await;
}
