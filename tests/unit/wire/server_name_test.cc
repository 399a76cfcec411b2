#include "wire/server_name.hh"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace sf::wire {
namespace {

using State = ServerName::State;
using Buffer = std::vector<std::uint8_t>;

void put16(Buffer& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

void append(Buffer& out, const Buffer& more) {
  out.insert(out.end(), more.begin(), more.end());
}

Buffer name_extension(std::string_view name, std::uint8_t type = 0) {
  Buffer out;
  put16(out, 0);
  put16(out, name.size() + 5);
  put16(out, name.size() + 3);
  out.push_back(type);
  put16(out, name.size());
  out.insert(out.end(), name.begin(), name.end());
  return out;
}

// The handshake message, not yet in records.
Buffer hello(const Buffer& extensions) {
  Buffer body(34, 3);
  body.push_back(0);
  put16(body, 2);
  put16(body, 0x1301);
  body.push_back(1);
  body.push_back(0);
  put16(body, extensions.size());
  append(body, extensions);
  Buffer out{1, 0};
  put16(out, body.size());
  append(out, body);
  return out;
}

Buffer in_records(const Buffer& message, std::size_t size) {
  Buffer out;
  for (std::size_t at = 0; at < message.size(); at += size) {
    const std::size_t part = std::min(size, message.size() - at);
    out.insert(out.end(), {22, 3, 1});
    put16(out, part);
    out.insert(out.end(), message.begin() + static_cast<std::ptrdiff_t>(at),
               message.begin() + static_cast<std::ptrdiff_t>(at + part));
  }
  return out;
}

TEST(TlsServerName, IsFoundHoweverTheHelloComes) {
  Buffer extensions{0x0a, 0x0a, 0, 1, 0};
  append(extensions, name_extension("www.example.test"));
  const Buffer message = hello(extensions);
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, message.size()}) {
    const Buffer stream = in_records(message, size);
    for (std::size_t length = 0; length < stream.size(); ++length) {
      EXPECT_EQ(tls_server_name(Bytes(stream).first(length)).state, State::more) << size << " " << length;
    }
    const ServerName found = tls_server_name(stream);
    EXPECT_EQ(found.state, State::named);
    EXPECT_EQ(found.name, "www.example.test");
  }
}

TEST(TlsServerName, OthersAreToldApart) {
  EXPECT_EQ(tls_server_name(in_records(hello({}), 500)).state, State::unnamed);
  Buffer twice = name_extension("a.test");
  append(twice, name_extension("b.test"));
  EXPECT_EQ(tls_server_name(in_records(hello(twice), 500)).state, State::foreign);
  EXPECT_EQ(tls_server_name(in_records(hello(name_extension("a.test", 1)), 500)).state, State::foreign);
  EXPECT_EQ(tls_server_name(in_records(hello(name_extension("")), 500)).state, State::foreign);
  EXPECT_EQ(tls_server_name(Buffer{'S', 'S', 'H'}).state, State::foreign);
  EXPECT_EQ(tls_server_name(Buffer{22, 3, 1, 0, 1, 2}).state, State::foreign) << "a ServerHello";
  EXPECT_EQ(tls_server_name(Buffer{22, 3, 1, 0, 0}).state, State::foreign) << "an empty record";
  EXPECT_EQ(tls_server_name(Buffer{22, 3, 1, 0, 4, 1, 0, 0x40, 1}).state, State::foreign) << "too large";
  Buffer whole = hello(name_extension("a.test"));
  whole[whole.size() - 7] = 200;  // the name's length points behind the extension
  EXPECT_EQ(tls_server_name(in_records(whole, 500)).state, State::foreign);
  // A record of something else in the middle of the hello.
  Buffer mixed = in_records(hello(name_extension("a.test")), 20);
  mixed[25] = 23;
  EXPECT_EQ(tls_server_name(mixed).state, State::foreign);
  Buffer endless(kMaxServerNameBytes, 0);
  std::copy_n(Buffer{22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xff}.begin(), 9, endless.begin());
  EXPECT_EQ(tls_server_name(endless).state, State::foreign);
}

TEST(TlsServerName, AnyBytesAreTaken) {
  Buffer stream = in_records(hello(name_extension("www.example.test")), 30);
  for (std::size_t at = 0; at < stream.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      Buffer changed = stream;
      changed[at] = static_cast<std::uint8_t>(value);
      (void)tls_server_name(changed);
    }
  }
}

ServerName host(std::string_view text) {
  return http_host(Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

TEST(HttpHost, IsFoundOnceTheHeadersAreThere) {
  const std::string_view request =
      "\r\nGET /x?y=http://b.test/ HTTP/1.1\r\nAccept: */*\r\nhOsT:  a.test:8080 \r\n\r\n";
  for (std::size_t length = 0; length < request.size(); ++length) {
    EXPECT_EQ(host(request.substr(0, length)).state, State::more) << length;
  }
  EXPECT_EQ(host(request).state, State::named);
  EXPECT_EQ(host(request).name, "a.test");
  EXPECT_EQ(host("GET / HTTP/1.1\nHost: a.test\n\n").name, "a.test");
  EXPECT_EQ(host("GET /\xc3\xbc HTTP/1.1\r\nHost: a.test\r\n\r\n").name, "a.test");
  EXPECT_EQ(host("GET http://a.test:80/ HTTP/1.1\r\nHost: A.test\r\n\r\n").name, "a.test");
  EXPECT_EQ(host("CONNECT a.test:443 HTTP/1.1\r\n\r\n").name, "a.test");
}

TEST(HttpHost, OthersAreToldApart) {
  EXPECT_EQ(host("GET / HTTP/1.0\r\n\r\n").state, State::unnamed);
  EXPECT_EQ(host("GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n").state, State::unnamed);
  EXPECT_EQ(host("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").state, State::unnamed);
  for (const char* text :
       {"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nX: 1\r\n Host: b.test\r\nHost: a.test\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01", "GET a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", "SSH-2.0-x\r\n",
        "GET / HTTP/1.1\rHost: b.test\r\nHost: a.test\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n",
        "\r\nGET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET /\tx HTTP/1.1\r\nHost: a.test\r\n\r\n",
        // What servers may find two hosts in.
        "GET http://a.test@b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n",
        "GET http://b.test\\@a.test/ HTTP/1.0\r\n\r\n", "GET http://b.test\\.a.test/ HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:80@b.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\x0b: b.test\r\nHost: a.test\r\n\r\n", "GET /\r\n", "GET / \r\n\r\n"}) {
    EXPECT_EQ(host(text).state, State::foreign) << text;
  }
  EXPECT_EQ(host("GET / HTTP/1.1\r\n" + std::string(kMaxServerNameBytes, 'x')).state, State::foreign);
}

// Found by fuzzing: what came in one piece waited for the second record's header to say what the first had
// said.
TEST(TlsAnswer, TheFirstByteOfTheMessageTells) {
  const Buffer stream{kTlsHandshake, 3, 3, 0, 1, 4, kTlsHandshake, 3, 3};
  for (std::size_t size = 0; size < 6; ++size)
    EXPECT_EQ(tls_answer(take(stream, size)), TlsAnswer::more) << size;
  for (std::size_t size = 6; size <= stream.size(); ++size) {
    EXPECT_EQ(tls_answer(take(stream, size)), TlsAnswer::other) << size;
  }
}

}  // namespace
}  // namespace sf::wire
