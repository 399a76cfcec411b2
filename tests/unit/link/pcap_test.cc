#include "link/pcap.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "base/unique_fd.hh"
#include "unit/link/fake_link.hh"
#include "unit/support/pcapng_reader.hh"
#include "wire/checksum.hh"
#include "wire/ethernet.hh"
#include "wire/ip.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::link {
namespace {

class PcapTest : public testing::Test {
 protected:
  PcapTest() {
    std::string name = testing::TempDir() + "pcap_test_XXXXXX";
    ::close(::mkstemp(name.data()));
    path_ = name;
  }
  ~PcapTest() override { ::unlink(path_.c_str()); }

  std::unique_ptr<PcapTee> open(const std::string& path) {
    auto tee = PcapTee::create(
        link_, path, "tap0", [this] { return time_; }, log_);
    EXPECT_TRUE(tee) << (tee ? "" : tee.error().message);
    return tee ? std::move(*tee) : nullptr;
  }
  [[nodiscard]] FileBytes file() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  FakeLink link_{kAllFeatures};
  std::vector<std::string> messages_;
  Log log_{LogLevel::debug, [this](LogLevel, std::string_view m) { messages_.emplace_back(m); }};
  std::string path_;
  std::chrono::nanoseconds time_{1'700'000'000'123'456'789};
};

TEST_F(PcapTest, RecordsBothDirections) {
  const auto sent = pattern(61);
  const auto received = pattern(60, 500);
  {
    const auto tee = open(path_);
    ASSERT_TRUE(tee);
    EXPECT_TRUE(tee->features().tcp4_gso);
    ASSERT_EQ(tee->send(std::array{take(sent, 14), drop(sent, 14)}, {}), Status::ok);
    time_ += std::chrono::nanoseconds(1);
    link_.to_receive.emplace_back(received, wire::Offload{});
    std::vector<std::uint8_t> buffer(kMaxFrame);
    Frame frame;
    ASSERT_EQ(tee->receive(buffer, frame), Status::ok);
    EXPECT_EQ(FileBytes(frame.bytes.begin(), frame.bytes.end()), received);
    ASSERT_EQ(tee->receive(buffer, frame), Status::empty);
  }
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(link_.sent[0].bytes, sent);
  const Recording recording(file());
  EXPECT_EQ(recording.blocks(), (std::vector<std::uint32_t>{0x0a0d0d0a, 1, 6, 6}));
  ASSERT_EQ(recording.packets.size(), 2U);
  EXPECT_EQ(recording.packets[0].bytes, sent);
  EXPECT_EQ(recording.packets[0].flags, 1U);  // inbound
  EXPECT_EQ(recording.packets[0].time, 1'700'000'000'123'456'789U);
  EXPECT_EQ(recording.packets[1].bytes, received);
  EXPECT_EQ(recording.packets[1].flags, 2U);  // outbound
  EXPECT_EQ(recording.packets[1].time, 1'700'000'000'123'456'790U);
  ASSERT_EQ(recording.options().size(), 2U);
  EXPECT_EQ(recording.options()[0], (std::pair<std::uint16_t, FileBytes>{2, {'t', 'a', 'p', '0'}}));
  EXPECT_EQ(recording.options()[1], (std::pair<std::uint16_t, FileBytes>{9, {9}}));
}

TEST_F(PcapTest, CompletesChecksumsInTheFileAlone) {
  for (const auto protocol : {wire::IpProtocol::tcp, wire::IpProtocol::udp}) {
    link_.sent.clear();
    const bool udp = protocol == wire::IpProtocol::udp;
    wire::IpHeader ip;
    ip.source = Address::v4(198, 51, 100, 1);
    ip.destination = Address::v4(10, 0, 2, 100);
    ip.protocol = static_cast<std::uint8_t>(protocol);
    const auto payload = pattern(9001);
    const std::size_t size = (udp ? 8U : 20U) + payload.size();
    const auto partial = wire::checksum_fold(
        wire::pseudo_header_sum(ip.source, ip.destination, ip.protocol, static_cast<std::uint32_t>(size)));
    std::vector<std::uint8_t> header(100);
    Writer out(header);
    wire::EthernetHeader{{}, {}, 0x0800}.emit(out);
    ip.emit(out, size);
    if (udp) {
      wire::UdpDatagram{1, 2, 0, {}}.emit(out, payload.size(), partial);
    } else {
      wire::TcpSegment{}.emit(out, partial);
    }
    const wire::Offload offload{.checksum_needed = true,
                                .checksum_start = 34,
                                .checksum_offset = udp ? std::uint16_t{6} : std::uint16_t{16},
                                .gso = udp ? wire::GsoType::udp : wire::GsoType::tcp4,
                                .gso_size = 1400,
                                .header_length = static_cast<std::uint16_t>(out.offset())};
    {
      const auto tee = open(path_);
      ASSERT_TRUE(tee);
      ASSERT_EQ(tee->send(std::array{Bytes{out.written()}, Bytes{payload}}, offload), Status::ok);
    }
    const Recording recording(file());
    ASSERT_EQ(recording.packets.size(), 1U);
    const auto packet = wire::parse_ip(drop(recording.packets[0].bytes, 14));
    ASSERT_TRUE(packet);
    EXPECT_TRUE(wire::verify_transport_checksum(ip.source, ip.destination, ip.protocol, packet->payload));
    EXPECT_EQ(load_be16(&link_.sent.at(0).bytes[34 + offload.checksum_offset]), partial);
  }
}

TEST_F(PcapTest, LeavesOutWhatDidNotPass) {
  {
    const auto tee = open(path_);
    ASSERT_TRUE(tee);
    link_.status = Status::dropped;
    EXPECT_EQ(tee->send(std::array{Bytes{}}, {}), Status::dropped);
  }
  EXPECT_TRUE(Recording(file()).packets.empty());
}

TEST_F(PcapTest, WritesInPiecesAndAtFlush) {
  const auto tee = open(path_);
  ASSERT_TRUE(tee);
  const auto head = file().size();
  const auto frame = pattern(1000);
  ASSERT_EQ(tee->send(std::array{Bytes{frame}}, {}), Status::ok);
  EXPECT_EQ(file().size(), head);
  tee->flush();
  EXPECT_GT(file().size(), head + 1000);
  const auto flushed = file().size();
  for (int i = 0; i < 70; ++i) ASSERT_EQ(tee->send(std::array{Bytes{frame}}, {}), Status::ok);
  EXPECT_GT(file().size(), flushed);  // 64 KiB do not wait
}

TEST_F(PcapTest, KeepsOthersFromReading) {
  ::unlink(path_.c_str());
  ASSERT_TRUE(open(path_));
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 077, 0U);
}

TEST_F(PcapTest, SaysWhyItCannotBegin) {
  const auto tee = PcapTee::create(
      link_, "/does/not/exist", "tap0", [this] { return time_; }, log_);
  ASSERT_FALSE(tee);
  EXPECT_EQ(tee.error().message,
            "cannot record to /does/not/exist: open: No such file or directory; give --pcap a path that can "
            "be written");
  EXPECT_FALSE(PcapTee::create(
      link_, "/dev/full", "tap0", [this] { return time_; }, log_));
}

TEST_F(PcapTest, StopsWithOneMessageWhenTheDiskIsFull) {
  // A pipe whose reader goes away stands for a disk that fills up.
  const std::string fifo = path_ + ".fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  ASSERT_NE(::signal(SIGPIPE, SIG_IGN), SIG_ERR);
  UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  const auto tee = open(fifo);
  ::unlink(fifo.c_str());
  ASSERT_TRUE(tee);
  reader.reset();
  const auto frame = pattern(1000);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(tee->send(std::array{Bytes{frame}}, {}), Status::ok);
    tee->flush();
  }
  EXPECT_EQ(link_.sent.size(), 3U);
  ASSERT_EQ(messages_.size(), 1U);
  EXPECT_EQ(messages_[0], "recording to " + fifo +
                              " has stopped: write: Broken pipe; the network goes on, free some "
                              "space and start again");
}

}  // namespace
}  // namespace sf::link
