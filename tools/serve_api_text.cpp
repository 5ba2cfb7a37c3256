// The paths that turn text into something else: embeddings, tokens, prompts. See serve_api.h.
#include <cstring>

#include "tools/model_reader.h"
#include "tools/serve_api.h"
#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

std::string to_base64(const std::vector<f32>& values) {
  constexpr const char* kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<u8> bytes(values.size() * sizeof(f32));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());  // little-endian
  std::string out;
  for (usize i = 0; i < bytes.size(); i += 3) {
    u32 group = 0;
    for (usize k = 0; k < 3; ++k) group = group << 8 | (i + k < bytes.size() ? bytes[i + k] : 0u);
    for (usize k = 0; k < 4; ++k) {
      const bool is_there = i + k <= bytes.size();
      out += is_there ? kLetters[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

// A client that waits for one whole answer.
class SilentClient final : public Waiting {
 public:
  explicit SilentClient(Exchange& exchange) : exchange_(exchange) {}
  bool is_gone() override { return exchange_.is_gone(); }
  void keep_alive() override {}

 private:
  Exchange& exchange_;
};

}  // namespace

void embeddings(Exchange& exchange, ServeModel& model, const ServeWorld&) {
  const EmbeddingRequest request = parse_embedding_request(exchange.body());
  if (request.n_dimension != 0 && request.n_dimension != model.config().n_embd) {
    throw ApiError(
        400,
        "'dimensions': the embeddings of this model have " + std::to_string(model.config().n_embd),
        "unsupported", "dimensions");
  }
  model.slots().check_room();
  SilentClient client(exchange);
  Json data = Json::array();
  u64 n_token = 0;
  for (const TextInput& input : request.inputs) {
    const Embedding one = model.embed(model.prompt_ids(input, "input"), client, !data.empty());
    if (one.is_gone) return;
    n_token += one.n_token;
    const Json values = request.base64 ? Json(to_base64(one.values)) : Json(one.values);
    data.push_back({{"object", "embedding"}, {"index", data.size()}, {"embedding", values}});
  }
  Json out = {{"object", "list"}, {"data", data}, {"model", model.id()}};
  out["usage"] = {{"prompt_tokens", n_token}, {"total_tokens", n_token}};
  send_json(exchange, out);
}

void tokenize(Exchange& exchange, ServeModel& model, const ServeWorld&) {
  const TokenizeRequest request = parse_tokenize_request(exchange.body());
  const std::vector<u32> ids =
      encode_text(model.tokenizer(), request.text,
                  {.add_special = request.add_special, .parse_special = request.parse_special});
  Json out;
  out["tokens"] = ids;
  if (request.with_pieces) {
    out["tokens"] = Json::array();
    std::string buffer(model.tokenizer().max_piece_bytes(), '\0');
    for (const u32 id : ids) {
      const Str piece = model.tokenizer().piece(id, true, {buffer.data(), buffer.size()});
      out["tokens"].push_back({{"id", id}, {"piece", to_string(piece)}});
    }
  }
  send_json(exchange, out);
}

void detokenize(Exchange& exchange, ServeModel& model, const ServeWorld&) {
  const std::vector<u32> ids = parse_detokenize_request(exchange.body());
  Json out;
  try {
    out["content"] = decode_ids(model.tokenizer(), ids);
  } catch (const CommandError& error) {
    throw ApiError(400, error.what(), "invalid_value", "tokens");
  }
  send_json(exchange, out);
}

void apply_template(Exchange& exchange, ServeModel& model, const ServeWorld&) {
  const ChatRequest request = parse_template_request(exchange.body());
  send_json(exchange, {{"prompt", model.chat_prompt(request).text}});
}

}  // namespace lbm::cli
