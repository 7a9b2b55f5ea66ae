//! `alluvium schema plan|apply` where a person decides.

use crate::support::{
    client::Client,
    home::{Home, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_the_statements_and_runs_them() {
    let home = Home::http(
        "[tables.orders]\nevolution = \"plan\"\n[[tables.orders.columns]]\nname = \"id\"\ntype = \"long\"\n",
    );
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client
        .commit("orders", r#"{"id":1,"price":9.5,"a b":"x"}"#)
        .await;
    daemon.stop().await;

    let planned = home.run(&["schema", "plan", "orders"]);
    assert_eq!(planned.status.code(), Some(0), "{}", text(&planned));
    let said = text(&planned);
    assert!(
        said.contains("alter table `orders` add columns (`a_b` string, `price` double);"),
        "{said}"
    );
    assert!(
        said.contains("-- orders: 1 row with rescued values"),
        "{said}"
    );

    // Nobody is there to ask.
    let refused = home.run(&["schema", "apply"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("--yes"), "{}", text(&refused));
    let applied = home.run(&["schema", "apply", "--yes"]);
    assert_eq!(applied.status.code(), Some(0), "{}", text(&applied));
    assert!(
        text(&applied).contains("orders: changed, version"),
        "{}",
        text(&applied)
    );
    let again = home.run(&["schema", "plan"]);
    assert!(
        text(&again).contains("-- nothing waits"),
        "{}",
        text(&again)
    );

    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client
        .commit("orders", r#"{"id":2,"price":8.5,"a b":"y"}"#)
        .await;
    daemon.stop().await;
    let row = home.table("orders").row("id", 2);
    assert_eq!((&row["price"], &row["a_b"]), (&8.5.into(), &"y".into()));
    let row = home.table("orders").row("id", 1);
    assert!(row["_rescued_data"].as_str().unwrap().contains("9.5"));
}
