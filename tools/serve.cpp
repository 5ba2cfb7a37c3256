// lbm serve: the model behind an HTTP interface that clients of OpenAI speak, and the web page.
//
//   socket -> serve_connection -> serve_head -> serve_server -> serve_api -> serve_request
//                                      (what is asked)            |-> serve_model -> serve_slots
//                                                                 \-> serve_files
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <random>
#include <thread>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/serve_api.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

struct ServeFlags {
  ModelFlags model;
  std::string host = "127.0.0.1";
  u16 port = 8080;
  std::string api_key;
  std::string web;
  bool has_web = false;
  u32 n_slot = 1;
  u32 n_waiting = 16;
  int ping_s = 15;
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
};

// What a client writes into Host for it: an IPv6 address stands in brackets there.
std::string host_name(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// The page that `make web` builds lies beside this binary; that of an installed one in share/.
std::string default_web_folder() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const std::filesystem::path beside = self.parent_path() / "web";
  if (std::filesystem::exists(beside / "index.html", error)) return beside.string();
  return (self.parent_path().parent_path() / "share/llm-baremetal/web").string();
}

// What nobody can guess: 128 bits.
std::string random_token() {
  std::random_device random;
  return format("%08x%08x%08x%08x", random(), random(), random(), random());
}

AccessPolicy access_policy(const ServeFlags& flags, u16 port) {
  AccessPolicy policy;
  policy.hosts = {"127.0.0.1", "localhost", "[::1]"};
  policy.allow_host(host_name(flags.host));
  for (const std::string& host : flags.allow_hosts) policy.allow_host(host);
  policy.origins = flags.allow_origins;
  policy.port = port;
  policy.api_key = flags.api_key;
  policy.run_token = random_token();
  return policy;
}

// The server answers while the model loads: with files of the page, and with 503 where the model is
// asked for. Ends with the command.
class ServerThread {
 public:
  ServerThread(HttpServer& server, const ServeWorld& world)
      : thread_([&server, &world, this] {
          server.run(
              world.policy, [&world](Exchange& exchange) { answer_request(exchange, world); },
              [this] { return is_over_ || interrupt_pending(); });
        }) {}
  // After a load that failed; else the user ends it.
  ~ServerThread() {
    is_over_ = true;
    join();
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;

  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

// The name by which the model's file can be read, or empty: names that need escaping, and parts of
// a model in several files, are not offered.
std::string served_name(const std::string& path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  return is_plain_name(name) && name.find("-of-") == std::string::npos ? name : std::string();
}

void say_what_is_served(ServeModel& model, bool has_page) {
  const u32 n_slot = model.slots().n_slot();
  std::string slots;
  if (n_slot > 1) {
    slots = format(" in %u slots of ", n_slot) + format_bytes(model.slots().slot_bytes()) + " each";
  }
  notice("serving " + printable(to_str(model.id())) + slots +
         (has_page ? " and its page" : " (no page was built)") + "; Ctrl-C ends");
}

ExitCode run(const ServeFlags& flags) {
  const WebFolder web(flags.has_web ? flags.web : default_web_folder());
  if (flags.has_web && !web.is_open()) {
    throw CommandError(ExitCode::kUsage,
                       "--web " + printable(to_str(flags.web)) + ": no such folder");
  }
  HttpServer server(flags.host, flags.port);
  if (!server.is_loopback() && flags.api_key.empty()) {
    throw CommandError(ExitCode::kUsage,
                       "--host " + printable(to_str(flags.host)) +
                           " can be reached from other machines: give an --api-key, too");
  }
  install_interrupt_handler();
  const std::string address =
      "http://" + host_name(flags.host) + ":" + std::to_string(server.port());
  const AccessPolicy policy = access_policy(flags, server.port());
  const std::string model_name = served_name(flags.model.path);
  const SharedFile model_file(model_name.empty() ? "" : flags.model.path);
  ServeWorld world{.web = web,
                   .policy = policy,
                   .model_file = model_file,
                   .model_name = model_name,
                   .ping_s = flags.ping_s};
  std::unique_ptr<ServeModel> model;
  ServerThread thread(server, world);
  notice("listening on " + address + ", loading");
  model = std::make_unique<ServeModel>(flags.model, flags.n_slot, flags.n_waiting);
  world.model = model.get();
  write_stdout(address + "\n");
  say_what_is_served(*model, web.is_open());
  thread.join();
  return ExitCode::kInterrupted;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<ServeFlags>();
  app.add_option("--host", flags->host, "address to listen on (default: 127.0.0.1)")
      ->type_name("ADDRESS");
  app.add_option("--port", flags->port, "port; 0: any that is free (default: 8080)")
      ->check(CLI::Range(0, 65535))
      ->type_name("N");
  app.add_option("--api-key", flags->api_key, "clients must send it as Authorization: Bearer KEY")
      ->type_name("KEY");
  app.add_option("--allow-host", flags->allow_hosts, "another name clients may call this server by")
      ->type_name("NAME");
  app.add_option("--allow-origin", flags->allow_origins,
                 "pages of this origin may use the server (https://example.org)")
      ->type_name("ORIGIN");
  app.add_option("--queue", flags->n_waiting, "requests that may wait (default: 16)")
      ->check(CLI::Range(0, 1024))
      ->type_name("N");
  app.add_option("--slots", flags->n_slot,
                 "conversations that are kept and answered side by side (default: 1)")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  app.add_option("--sse-ping", flags->ping_s,
                 "seconds after which a silent stream gets a comment; 0: never (default: 15)")
      ->check(CLI::Range(0, 3600))
      ->type_name("SECONDS");
  CLI::Option* web =
      app.add_option("--web", flags->web, "folder of the page (default: web beside this program)")
          ->type_name("FOLDER");
  declare_model_flags(app, flags->model, kChatContextDefault);
  return [flags, web] {
    flags->has_web = web->count() != 0;
    return run(*flags);
  };
}

}  // namespace

const Command kServeCommand = {
    "serve", "answer over HTTP as OpenAI does",
    "  lbm serve -m model.gguf                        http://127.0.0.1:8080\n"
    "  lbm serve -m model.gguf --port 0 -c 2048       any free port, printed as the first line\n"
    "  curl http://127.0.0.1:8080/v1/chat/completions -H \"Content-Type: application/json\" \\\n"
    "    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'",
    declare};

}  // namespace lbm::cli
