#include "control/http.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sf::control {
namespace {

using State = HttpRequest::State;

State state_of(const std::string& text) {
  return parse_http_request(text).state;
}

TEST(HttpRequest, what_prometheus_and_curl_send) {
  const std::string text =
      "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9100\r\nUser-Agent: Prometheus/2.42.0\r\n"
      "Accept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n\r\n";
  const HttpRequest request = parse_http_request(text);
  EXPECT_EQ(request.state, State::complete);
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/metrics");
}

TEST(HttpRequest, targets) {
  for (const auto& [target, path] :
       {std::pair("/metrics?x=/y", "/metrics"), std::pair("http://a:1/metrics", "/metrics"),
        std::pair("HTTP://a/metrics?q", "/metrics"), std::pair("http://a", ""), std::pair("/", "/"),
        std::pair("*", "*"), std::pair("/metrics/", "/metrics/"), std::pair("//metrics", "//metrics")}) {
    const std::string text = std::string("GET ") + target + " HTTP/1.0\r\n\r\n";
    const HttpRequest request = parse_http_request(text);
    EXPECT_EQ(request.state, State::complete) << target;
    EXPECT_EQ(request.path, path) << target;
  }
}

TEST(HttpRequest, cut_at_every_length_more_has_to_come) {
  const std::string text = "GET /metrics HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_EQ(state_of(text.substr(0, length)), State::incomplete) << length;
  }
  EXPECT_EQ(state_of(text), State::complete);
  EXPECT_EQ(state_of(text + "and what follows"), State::complete);
}

TEST(HttpRequest, line_ends) {
  EXPECT_EQ(state_of("GET / HTTP/1.1\nHost: x\n\n"), State::complete);
  EXPECT_EQ(state_of("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), State::complete);
  EXPECT_EQ(state_of("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), State::malformed);
}

TEST(HttpRequest, versions) {
  EXPECT_EQ(state_of("GET / HTTP/1.0\r\n\r\n"), State::complete);
  EXPECT_EQ(state_of("GET / HTTP/1.9\r\nHost: x\r\n\r\n"), State::complete);
  for (const char* version : {"HTTP/2.0", "HTTP/0.9", "HTTP/3.1"}) {
    EXPECT_EQ(state_of(std::string("GET / ") + version + "\r\n\r\n"), State::bad_version) << version;
  }
  for (const char* version : {"HTTP/1", "HTTP/1.10", "http/1.1", "HTTP/1.x", "FTP/1.1", ""}) {
    EXPECT_EQ(state_of(std::string("GET / ") + version + "\r\n\r\n"), State::malformed) << version;
  }
}

TEST(HttpRequest, the_host_is_named_once) {
  EXPECT_EQ(state_of("GET / HTTP/1.1\r\n\r\n"), State::malformed);
  EXPECT_EQ(state_of("GET / HTTP/1.1\r\nhOST: x\r\n\r\n"), State::complete);
  EXPECT_EQ(state_of("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), State::malformed);
}

TEST(HttpRequest, malformed_ones) {
  using namespace std::string_literals;
  for (const std::string& line :
       {"GET"s, "GET /"s, " GET / HTTP/1.1"s, "GET  HTTP/1.1"s, "GET /a b HTTP/1.1"s, "G(T / HTTP/1.1"s,
        "GET /\x01 HTTP/1.1"s, "GET /\0 HTTP/1.1"s, "GET /\x7f HTTP/1.1"s, "\x16\x03\x01\x02"s}) {
    EXPECT_EQ(state_of(line + "\r\nHost: x\r\n\r\n"), State::malformed) << line;
  }
  for (const std::string& field : {"A"s, ": b"s, "A : b"s, " A: b"s, "A: b\r\n c"s, "A: \x01"s, "A: \0"s}) {
    EXPECT_EQ(state_of("GET / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n\r\n"), State::malformed) << field;
  }
}

TEST(HttpRequest, up_to_8_KiB) {
  std::string text = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
  text.resize(kMaxHttpRequest - 4, 'a');
  EXPECT_EQ(state_of(text), State::incomplete);
  EXPECT_EQ(state_of(text + "\r\n\r\n"), State::complete);
  EXPECT_EQ(state_of(text + "a\r\n\r\n"), State::too_large);
  EXPECT_EQ(state_of(std::string(kMaxHttpRequest, 'a')), State::too_large);
}

TEST(HttpReply, has_all_that_a_client_needs) {
  EXPECT_EQ(http_reply({.status = 200, .type = "a/b", .body = "text\n"}),
            "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\nCache-Control: no-store\r\n"
            "Connection: close\r\n\r\ntext\n");
  const std::string head = http_reply({.status = 200, .body = "text\n", .head = true});
  EXPECT_THAT(head, testing::HasSubstr("Content-Length: 5\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_THAT(http_reply({.status = 405}), testing::HasSubstr("Allow: GET, HEAD\r\n"));
}

}  // namespace
}  // namespace sf::control
