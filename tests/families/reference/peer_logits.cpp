// Prints what llama.cpp computes, as the second opinion on tests/families (make_expectations.py --peer).
//
//   peer_logits MODEL.gguf OUT.f32 N_CTX N_GREEDY TOKEN...
//
// Evaluates the tokens one at a time: one thread, KV cache F32, flash attention off. OUT.f32 gets
// the logits of every token, [n_token][n_vocab]; the greedy continuation goes to the standard
// output. Build against a llama.cpp tree:
//   g++ -O2 -I TREE/include -I TREE/ggml/include peer_logits.cpp -L TREE/build/bin
//       -lllama -lggml -lggml-base -o peer_logits
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <llama.h>

namespace {

const float* decode(llama_context* context, llama_token token) {
  if (llama_decode(context, llama_batch_get_one(&token, 1)) != 0) {
    std::fprintf(stderr, "llama_decode failed\n");
    std::exit(1);
  }
  return llama_get_logits_ith(context, -1);
}

void only_errors(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  llama_log_set(only_errors, nullptr);
  llama_backend_init();
  llama_model_params model_params = llama_model_default_params();
  model_params.use_extra_bufts = false;  // weights stay as they are stored
  llama_model* model = llama_model_load_from_file(argv[1], model_params);
  if (model == nullptr) return 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(std::atoi(argv[3]));
  params.n_threads = params.n_threads_batch = 1;
  params.type_k = params.type_v = GGML_TYPE_F32;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  llama_context* context = llama_init_from_model(model, params);
  std::FILE* out = std::fopen(argv[2], "wb");
  if (context == nullptr || out == nullptr) return 1;
  const size_t n_vocab = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
  const float* logits = nullptr;
  for (int i = 5; i < argc; ++i) {
    logits = decode(context, std::atoi(argv[i]));
    std::fwrite(logits, sizeof(float), n_vocab, out);
  }
  std::fclose(out);
  for (int i = 0; i < std::atoi(argv[4]); ++i) {
    llama_token best = 0;
    for (size_t id = 1; id < n_vocab; ++id) {
      if (logits[id] > logits[best]) best = static_cast<llama_token>(id);
    }
    std::printf("%d ", best);
    logits = decode(context, best);
  }
  std::printf("\n");
  return 0;
}
