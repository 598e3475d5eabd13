//! Hugging Face's names for a decoder's parts.

/// Names of modules in checkpoints, without `.weight`; those of a block's parts follow `blocks.NUMBER.`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// In front of all names but the head's; optional in files.
    pub prefix: &'static str,
    pub embedding: &'static str,
    /// The table of learned positions, if there is one.
    pub positions: &'static str,
    pub blocks: &'static str,
    pub final_norm: &'static str,
    pub head: &'static str,
    /// Another name of the head's, in older or newer files.
    pub other_head: Option<&'static str>,
    pub attention: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub query_key_value: &'static str,
    pub output: &'static str,
    pub query_norm: &'static str,
    pub key_norm: &'static str,
    pub feed_forward: &'static str,
    pub gate: &'static str,
    pub up: &'static str,
    pub gate_up: &'static str,
    pub down: &'static str,
    pub before_attention: &'static str,
    pub after_attention: &'static str,
    pub before_feed_forward: &'static str,
    pub after_feed_forward: &'static str,
    /// Ends of names that older files hold among the weights and that are none.
    pub leftovers: &'static [&'static str],
    /// Whether linear maps of the blocks are stored as `[in, out]`.
    pub is_transposed: bool,
    pub fields: &'static Fields,
}

/// Keys of `config.json`, for errors about values that were read from them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub hidden_size: &'static str,
    pub intermediate_size: &'static str,
    pub blocks: &'static str,
    pub heads: &'static str,
    pub key_heads: &'static str,
    pub head_dim: &'static str,
    pub positions: &'static str,
    pub norm_epsilon: &'static str,
    pub theta: &'static str,
    /// The field that says how many channels of a head are rotated.
    pub rotated: &'static str,
    pub dropout: &'static str,
}

/// Llama's names, which most families share.
pub(super) const LLAMA: Names = Names {
    prefix: "model.",
    embedding: "model.embed_tokens",
    positions: "",
    blocks: "model.layers",
    final_norm: "model.norm",
    head: "lm_head",
    other_head: None,
    attention: "self_attn",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    query_key_value: "self_attn.qkv_proj",
    output: "self_attn.o_proj",
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    feed_forward: "mlp",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    gate_up: "mlp.gate_up_proj",
    down: "mlp.down_proj",
    before_attention: "input_layernorm",
    after_attention: "",
    before_feed_forward: "post_attention_layernorm",
    after_feed_forward: "",
    leftovers: &["rotary_emb.inv_freq"],
    is_transposed: false,
    fields: &LLAMA_FIELDS,
};

/// Llama's keys.
pub(super) const LLAMA_FIELDS: Fields = Fields {
    hidden_size: "hidden_size",
    intermediate_size: "intermediate_size",
    blocks: "num_hidden_layers",
    heads: "num_attention_heads",
    key_heads: "num_key_value_heads",
    head_dim: "head_dim",
    positions: "max_position_embeddings",
    norm_epsilon: "rms_norm_eps",
    theta: "rope_theta",
    rotated: "partial_rotary_factor",
    dropout: "attention_dropout",
};
