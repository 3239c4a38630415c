//! Buckets of S3 and of what speaks its protocol.

use std::{fmt, time::Duration};

use bytes::Bytes;
use object_store::{
    ClientConfigKey, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
    signer::Signer,
};
use reqwest::{Method, Url};

use crate::Error;

/// How long a signed address is good for: longer than any transfer.
const SIGNED_FOR: Duration = Duration::from_secs(3600);

/// How a bucket is reached.
///
/// What is `None` comes from the environment, by the variables of the AWS tools: `AWS_ENDPOINT_URL`, `AWS_REGION`,
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`,
/// `AWS_ALLOW_HTTP`, and those of containers and web identities. Profiles in files are not read. Without any
/// credentials the metadata service of the machine is asked. A bucket that everybody may read needs no S3: it is read as
/// an `https` store.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// Address of the service, if it is not that of AWS.
    pub endpoint: Option<String>,
    /// Region; `us-east-1` if nothing says otherwise.
    pub region: Option<String>,
    /// Name of the key.
    pub access_key_id: Option<String>,
    /// The key.
    pub secret_access_key: Option<String>,
    /// Token of a temporary key.
    pub session_token: Option<String>,
    /// True if the endpoint's host names the bucket, false if the path does (the default).
    pub virtual_hosted: Option<bool>,
    /// True if the endpoint may be plain HTTP, which shows everybody on the way what is asked for.
    pub allow_http: Option<bool>,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("virtual_hosted", &self.virtual_hosted)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}

/// A bucket, or a part of one.
#[derive(Clone)]
pub(crate) struct Bucket {
    client: AmazonS3,
    prefix: String,
    allow_http: bool,
}

impl Bucket {
    /// Opens `bucket/prefix`, which is not asked whether it exists.
    pub(crate) fn open(place: &str, settings: &S3Settings) -> Result<Self, String> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(legal) {
            return Err("a bucket's name has only letters, digits, dots and dashes".to_owned());
        }
        let prefix = Path::parse(prefix).map_err(|error| error.to_string())?.to_string();
        let builder = configure(AmazonS3Builder::from_env().with_bucket_name(bucket), settings);
        let option = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
        let allow_http = option(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp))
            .is_some_and(|value| value == "true");
        let endpoint = option(AmazonS3ConfigKey::S3Endpoint).or(option(AmazonS3ConfigKey::Endpoint));
        if endpoint.is_some_and(|endpoint| !endpoint.starts_with("https://")) && !allow_http {
            return Err("its endpoint is not https, and plain http is not allowed".to_owned());
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { client, prefix, allow_http })
    }

    /// An address from which `name` can be read by plain HTTP.
    ///
    /// Reading is left to the one HTTP reader, whose limits and ranges hold for all servers alike.
    pub(crate) async fn address_of(&self, name: &str) -> Result<Url, Error> {
        let signed = self.client.signed_url(Method::GET, &self.path_of(name)?, SIGNED_FOR).await;
        let url = signed.map_err(|error| failure(&error))?;
        if url.scheme() == "https" || self.allow_http {
            Ok(url)
        } else {
            Err(Error::protocol("the endpoint is not https, and plain http is not allowed"))
        }
    }

    /// Writes an object whole.
    pub(crate) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), Error> {
        let path = self.path_of(name)?;
        self.client.put(&path, bytes.into()).await.map(|_| ()).map_err(|error| failure(&error))
    }

    fn path_of(&self, name: &str) -> Result<Path, Error> {
        let path = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Path::parse(path).map_err(|error| Error::transfer(&error, false))
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would print more than we know to be no secret.
        f.debug_struct("Bucket").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn configure(builder: AmazonS3Builder, settings: &S3Settings) -> AmazonS3Builder {
    // Repetitions and time limits are ours, in one place for all kinds of stores.
    let never = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let texts = [
        (AmazonS3ConfigKey::S3Endpoint, &settings.endpoint),
        (AmazonS3ConfigKey::Region, &settings.region),
        (AmazonS3ConfigKey::AccessKeyId, &settings.access_key_id),
        (AmazonS3ConfigKey::SecretAccessKey, &settings.secret_access_key),
        (AmazonS3ConfigKey::Token, &settings.session_token),
    ];
    let flags = [
        (AmazonS3ConfigKey::VirtualHostedStyleRequest, settings.virtual_hosted),
        (AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp), settings.allow_http),
    ];
    let texts = texts.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
    let flags = flags.into_iter().filter_map(|(key, value)| Some((key, value?.to_string())));
    let timeless = [(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), "1 day".to_owned())];
    texts
        .chain(flags)
        .chain(timeless)
        .fold(builder.with_retry(never), |builder, (key, value)| builder.with_config(key, value))
}

fn failure(error: &object_store::Error) -> Error {
    use object_store::Error as Cause;
    let is_final = matches!(
        error,
        Cause::PermissionDenied { .. }
            | Cause::Unauthenticated { .. }
            | Cause::NotFound { .. }
            | Cause::NotSupported { .. }
            | Cause::NotImplemented { .. }
            | Cause::InvalidPath { .. }
    );
    Error::transfer(error, !is_final)
}
