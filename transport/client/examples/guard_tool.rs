//! Asks before a tool acts: `guard_tool CLIENT.toml USER AGENT CHANNEL TEXT`.

use std::process::ExitCode;

use portcullis_client::{Client, NotAllowed, OpenRequest, Request, Require};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("refused: {error}");
            // 5 is a denial; everything else means that nobody could say.
            ExitCode::from(if error.is::<NotAllowed>() { 5 } else { 6 })
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, user, agent, channel, text] = arguments.as_slice() else {
        return Err("give CLIENT.toml, USER, AGENT, CHANNEL and TEXT, for example `User::ada`".into());
    };
    let client = Client::from_file(file).await?;
    let session = client.open(&OpenRequest::asserted(user.parse()?, [agent.parse()?])).await?;
    let mut request = Request::new(r#"Action::"slack/post_message""#.parse()?, channel.parse()?);
    request.input = Some(format!(r#"{{"text":"{}"}}"#, text.escape_default()).into());

    // Nothing is posted unless `require` says so: a denial, and every failure to decide, ends here.
    let allowed = session.decide(&request).await?.require()?;
    println!("posted to {channel}, allowed by {}", allowed.decision().id);
    session.close().await?;
    client.close().await;
    Ok(())
}
