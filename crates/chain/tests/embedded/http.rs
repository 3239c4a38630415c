//! The chain for tools of other processes.

use aiarena_chain::embedded::Error;
use alloy::{
    network::TransactionBuilder,
    primitives::U256,
    providers::{Provider, ProviderBuilder, ext::AnvilApi},
    rpc::types::{Filter, TransactionRequest},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{assembly, chain, key};

/// Status and body of a POST with these headers.
async fn post(address: std::net::SocketAddr, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST / HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn alloy_works_over_http() {
    let chain = chain();
    let server = chain.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let provider = ProviderBuilder::new()
        .wallet(alloy::network::EthereumWallet::new(key(0)))
        .connect_http(server.url().parse().unwrap());
    let create = TransactionRequest::default().with_deploy_code(assembly::init(&assembly::counter()));
    let receipt = provider.send_transaction(create).await.unwrap().get_receipt().await.unwrap();
    let counter = receipt.contract_address.unwrap();
    provider.anvil_increase_time(60).await.unwrap();
    let call = TransactionRequest::default().with_to(counter);
    let receipt = provider.send_transaction(call).await.unwrap().get_receipt().await.unwrap();
    assert_eq!(receipt.logs().len(), 1);
    assert_eq!(provider.get_logs(&Filter::new().from_block(0)).await.unwrap(), receipt.logs());
    // It is the same chain that is reached in process.
    assert_eq!(chain.provider().get_storage_at(counter, U256::ZERO).await.unwrap(), U256::ONE);
    server.shutdown().await;
    assert!(provider.get_block_number().await.is_err());
    assert_eq!(chain.provider().get_block_number().await.unwrap(), 2);
}

#[tokio::test]
async fn bodies_of_every_kind_are_answered() {
    let server = chain().listen("[::1]:0".parse().unwrap()).await.unwrap();
    let ask = async |body: &str| {
        let (status, body) = post(server.local_addr(), "Host: localhost\r\n", body.as_bytes()).await;
        (status, serde_json::from_str::<Value>(&body).unwrap_or(Value::Null))
    };
    let (_, answer) = ask(r#"{"jsonrpc":"2.0","id":"x","method":"eth_chainId"}"#).await;
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": "x", "result": "0x7a69"}));
    let errors = [
        (r"{", -32700),
        ("", -32700),
        ("\u{0}", -32700),
        ("[", -32700),
        ("[]", -32600),
        ("7", -32600),
        ("{}", -32600),
        (r#"{"id":1,"method":5}"#, -32600),
        (r#"{"id":1,"method":"eth_nothing"}"#, -32601),
        (r#"{"id":1,"method":"eth_subscribe","params":["logs"]}"#, -32601),
        (r#"{"id":1,"method":"eth_getBalance"}"#, -32602),
        (r#"{"id":1,"method":"eth_getBalance","params":{}}"#, -32602),
        (r#"{"id":1,"method":"eth_getBalance","params":["0x12"]}"#, -32602),
    ];
    for (body, code) in errors {
        let (status, answer) = ask(body).await;
        assert_eq!((status, answer["error"]["code"].as_i64()), (200, Some(code)), "{body}: {answer}");
    }
    let nested = "[".repeat(100_000);
    assert_eq!(ask(&nested).await.1["error"]["code"], -32700);

    let batch = r#"[{"id":1,"method":"eth_blockNumber"},{"method":"evm_mine"},7,{"id":2,"method":"eth_blockNumber"}]"#;
    let (_, answer) = ask(batch).await;
    assert_eq!(answer.as_array().unwrap().len(), 3, "{answer}");
    assert_eq!((&answer[0]["result"], &answer[2]["result"]), (&json!("0x0"), &json!("0x1")));
    assert_eq!(ask(r#"{"method":"evm_mine"}"#).await, (204, Value::Null));
    let many = format!("[{}]", vec!["1"; 1_001].join(","));
    assert_eq!(ask(&many).await.1["error"]["code"], -32600);
}

#[tokio::test]
async fn strangers_are_kept_out() {
    let chain = chain();
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let error = chain.listen(address.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::NotLoopback(_)), "{error}");
    }
    let server = chain.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let body = br#"{"id":1,"method":"evm_mine"}"#;
    for headers in ["Host: evil.example\r\n", "Host: localhost\r\nOrigin: https://evil.example\r\n"] {
        assert_eq!(post(server.local_addr(), headers, body).await.0, 403, "{headers}");
    }
    let huge = vec![b' '; (16 << 20) + 1];
    assert_eq!(post(server.local_addr(), "Host: localhost\r\n", &huge).await.0, 413);
    assert_eq!(chain.provider().get_block_number().await.unwrap(), 0);
    let taken = chain.listen(server.local_addr()).await.unwrap_err();
    assert!(taken.is_retryable(), "{taken}");
}
