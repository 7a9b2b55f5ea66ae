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

/// Fields of structs, of what lists hold and of what maps hold.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_inside_structs_and_lists_is_planned_too() {
    let home = Home::http(
        "[tables.orders]\nevolution = \"plan\"\ncolumns = [{ name = \"id\", type = \"long\" }, { name = \"lines\", type = \"array<struct<sku: string>>\" }, { name = \"of\", type = \"struct<a: long>\" }]\n",
    );
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    let event = r#"{"id":1,"lines":[{"sku":"a"},{"sku":"b","quantity":2},{"sku":"c","tags":["x"]}],"of":{"a":1,"b":true}}"#;
    client.commit("orders", event).await;
    daemon.stop().await;

    let planned = home.run(&["schema", "plan", "orders"]);
    let said = text(&planned);
    for column in [
        "`lines`.`element`.`quantity` long",
        "`lines`.`element`.`tags` array<string>",
        "`of`.`b` boolean",
    ] {
        assert!(said.contains(column), "{column} in {said}");
    }
    let applied = home.run(&["schema", "apply", "--yes"]);
    assert_eq!(applied.status.code(), Some(0), "{}", text(&applied));

    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    client
        .commit("orders", event.replace("\"id\":1", "\"id\":2"))
        .await;
    daemon.stop().await;
    let row = home.table("orders").row("id", 2);
    assert_eq!(row["lines"][1]["quantity"], 2);
    assert!(row.get("_rescued_data").is_none_or(|kept| kept.is_null()));
}
