//! The protocol-buffer messages of event files: the fields that are written, with the numbers of TensorFlow's
//! `event.proto` and `summary.proto`, TensorBoard's `hparams/plugin_data.proto` and Google's `struct.proto`.

use std::collections::BTreeMap;

use prost::{Message, Oneof};
use toml::Value as Setting;

use super::{Chart, Session};

/// Name of the plugin that compares settings and results of runs.
const HPARAMS: &str = "hparams";
/// Tags by which the plugin finds a run's start and end.
const SESSION_START: &str = "_hparams_/session_start_info";
const SESSION_END: &str = "_hparams_/session_end_info";
/// `STATUS_SUCCESS` of the plugin.
const SUCCESS: i32 = 1;

/// One event.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    pub what: Option<What>,
}

/// Content of an event.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

/// Values of one step.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A value by its tag.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(float, optional, tag = "2")]
    pub scalar: Option<f32>,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
}

/// `SummaryMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub plugin: Option<PluginData>,
}

/// What a plugin reads.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PluginData {
    #[prost(string, tag = "1")]
    pub name: String,
    /// A message of the plugin's own.
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

/// `HParamsPluginData`. Without a description of the experiment, the plugin infers settings and metrics from the runs.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HParams {
    #[prost(oneof = "HParamsData", tags = "3, 4")]
    pub data: Option<HParamsData>,
}

/// A run's start or end.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum HParamsData {
    #[prost(message, tag = "3")]
    Start(SessionStart),
    #[prost(message, tag = "4")]
    End(SessionEnd),
}

/// Settings of a run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub settings: BTreeMap<String, Scalar>,
    /// Seconds since 1970.
    #[prost(double, tag = "5")]
    pub time: f64,
}

/// End of a run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionEnd {
    #[prost(int32, tag = "1")]
    pub status: i32,
    /// Seconds since 1970.
    #[prost(double, tag = "2")]
    pub time: f64,
}

/// `google.protobuf.Value`, without its composite forms.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Scalar {
    #[prost(oneof = "ScalarKind", tags = "2, 3, 4")]
    pub kind: Option<ScalarKind>,
}

/// A setting's value.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ScalarKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Flag(bool),
}

impl Event {
    /// The first event of a file.
    pub fn version(time: f64, version: &str) -> Self {
        Self {
            wall_time: time,
            step: 0,
            what: Some(What::FileVersion(version.to_owned())),
        }
    }

    /// The event of a line that was written at `time`.
    pub fn of(chart: Chart, time: f64) -> Self {
        let scalars = chart.scalars.into_iter().map(|(tag, value)| Value {
            tag,
            scalar: Some(value as f32),
            metadata: None,
        });
        let session = chart.session.map(|session| match session {
            Session::Start(settings) => {
                let settings = settings.into_iter().map(|(key, value)| (key, Scalar::of(&value)));
                let start = SessionStart {
                    settings: settings.collect(),
                    time,
                };
                of_session(SESSION_START, HParamsData::Start(start))
            }
            Session::End => of_session(SESSION_END, HParamsData::End(SessionEnd { status: SUCCESS, time })),
        });
        Self {
            wall_time: time,
            step: i64::try_from(chart.step).unwrap_or(i64::MAX),
            what: Some(What::Summary(Summary {
                values: scalars.chain(session).collect(),
            })),
        }
    }
}

impl Scalar {
    /// Lists and tables become texts, as the plugin knows none.
    fn of(setting: &Setting) -> Self {
        let kind = match setting {
            Setting::String(text) => ScalarKind::Text(text.clone()),
            Setting::Integer(number) => ScalarKind::Number(*number as f64),
            Setting::Float(number) => ScalarKind::Number(*number),
            Setting::Boolean(flag) => ScalarKind::Flag(*flag),
            other => ScalarKind::Text(other.to_string()),
        };
        Self { kind: Some(kind) }
    }
}

/// A value that holds no number but a message of the hparams plugin.
fn of_session(tag: &str, data: HParamsData) -> Value {
    let content = HParams { data: Some(data) }.encode_to_vec();
    let name = HPARAMS.to_owned();
    Value {
        tag: tag.to_owned(),
        scalar: None,
        metadata: Some(Metadata {
            plugin: Some(PluginData { name, content }),
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::super::frame::tests::bytes_of;
    use super::*;

    /// Scalars of an event.
    pub fn scalars(event: &Event) -> Vec<(String, f32)> {
        let Some(What::Summary(summary)) = &event.what else {
            panic!("{event:?}")
        };
        let values = summary.values.iter();
        values
            .filter_map(|value| Some((value.tag.clone(), value.scalar?)))
            .collect()
    }

    /// The expected bytes are what Python's `tensorboard` 2.21 serialises. The order of a map is free, so the start is
    /// compared as it reads.
    #[test]
    fn sessions_are_those_of_tensorboards_own_messages() {
        let settings = [
            ("seed", Setting::Integer(42)),
            ("input.pad_to_max", Setting::Boolean(true)),
            ("adapter.method", Setting::String("pt".to_owned())),
        ];
        let start = Event::of(
            Chart {
                step: 0,
                scalars: Vec::new(),
                session: Some(Session::Start(
                    settings.map(|(key, value)| (key.to_owned(), value)).into(),
                )),
            },
            1.5,
        );
        let theirs = bytes_of(
            "09000000000000f83f2a7d0a7b0a1c5f68706172616d735f2f73657373696f6e5f73746172745f696e666f4a5b0a590a0768706172\
             616d73124e1a4c0a110a047365656412091100000000000045400a160a10696e7075742e7061645f746f5f6d6178120220010a160a\
             0e616461707465722e6d6574686f6412041a02707429000000000000f83f",
        );
        let plugin = |event: Event| {
            let Some(What::Summary(summary)) = event.what else {
                panic!("{event:?}")
            };
            let value = summary.values.into_iter().next().unwrap();
            let plugin = value.metadata.unwrap().plugin.unwrap();
            (
                value.tag,
                plugin.name,
                HParams::decode(plugin.content.as_slice()).unwrap(),
            )
        };
        assert_eq!(
            plugin(start),
            plugin(Event::decode(theirs.as_slice()).unwrap()),
            "tag, name and settings"
        );

        let end = Event::of(
            Chart {
                step: 6,
                scalars: vec![("best/test/accuracy".to_owned(), 75.0)],
                session: Some(Session::End),
            },
            2.5,
        );
        let theirs = "09000000000000044010062a550a190a12626573742f746573742f616363757261637915000096420a380a1a5f687061\
                      72616d735f2f73657373696f6e5f656e645f696e666f4a1a0a180a0768706172616d73120d220b0801110000000000\
                      000440";
        assert_eq!(end.encode_to_vec(), bytes_of(theirs));
    }
}
