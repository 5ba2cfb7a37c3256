// lbm serve: the model behind an HTTP interface that clients of OpenAI speak, and the web page.
//
//   socket -> serve_connection -> serve_head -> serve_server -> serve_api -> serve_model
//                                                                        \-> serve_files
#include <unistd.h>

#include <filesystem>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/serve_api.h"

namespace lbm::cli {
namespace {

struct ServeFlags {
  ModelFlags model;
  std::string host = "127.0.0.1";
  u16 port = 8080;
  std::string api_key;
  std::string web;
  bool has_web = false;
  u32 n_waiting = 16;
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
};

bool is_loopback(const std::string& host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

// What a client writes into Host for it: an IPv6 address stands in brackets there.
std::string host_name(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// The page that `make web` builds lies beside this binary.
std::string default_web_folder() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : (self.parent_path() / "web").string();
}

AccessPolicy access_policy(const ServeFlags& flags, u16 port) {
  AccessPolicy policy;
  policy.hosts = {"127.0.0.1", "localhost", "[::1]"};
  policy.hosts.push_back(host_name(flags.host));
  policy.hosts.insert(policy.hosts.end(), flags.allow_hosts.begin(), flags.allow_hosts.end());
  policy.origins = flags.allow_origins;
  policy.port = port;
  policy.api_key = flags.api_key;
  return policy;
}

ExitCode run(const ServeFlags& flags) {
  if (!is_loopback(flags.host) && flags.api_key.empty()) {
    throw CommandError(ExitCode::kUsage,
                       "--host " + printable(to_str(flags.host)) +
                           " can be reached from other machines: give an --api-key, too");
  }
  const WebFolder web(flags.has_web ? flags.web : default_web_folder());
  if (flags.has_web && !web.is_open()) {
    throw CommandError(ExitCode::kUsage,
                       "--web " + printable(to_str(flags.web)) + ": no such folder");
  }
  ServeModel model(flags.model, flags.n_waiting);
  HttpServer server(flags.host, flags.port);
  const AccessPolicy policy = access_policy(flags, server.port());
  write_stdout("http://" + host_name(flags.host) + ":" + std::to_string(server.port()) + "\n");
  notice("serving " + printable(to_str(model.id())) +
         (web.is_open() ? " and its page" : " (no page was built)") + "; Ctrl-C ends");
  server.run(
      policy, [&](Exchange& exchange) { answer_request(exchange, model, web, policy); },
      [] { return interrupt_pending(); });
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
