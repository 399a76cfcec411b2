// Runs a fuzz target over files and folders of files, without libFuzzer: how every build replays the corpora.
#include <algorithm>
#include <filesystem>
#include <vector>

#include "input.hh"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = std::size_t{1} << 20;

std::vector<fs::path> files_of(int argc, char** argv) {
  std::vector<fs::path> files;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      files.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(argv[i])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<fs::path> files = files_of(argc, argv);
  for (const fs::path& file : files) {
    std::vector<std::uint8_t> bytes(kMostBytes);
    std::FILE* const in = std::fopen(file.c_str(), "rb");
    if (in == nullptr) {
      std::fprintf(stderr, "replay: cannot read %s\n", file.c_str());
      return 1;
    }
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), in));
    std::fclose(in);
    // Said before it runs: where it ends the process, this is the input.
    std::printf("%s (%zu bytes)\n", file.c_str(), bytes.size());
    std::fflush(stdout);
    const sf::fuzz::Exact exact(bytes);
    LLVMFuzzerTestOneInput(exact.bytes().data(), exact.bytes().size());
  }
  if (files.empty()) {
    std::fprintf(stderr, "replay: nothing to run; name files or folders of them\n");
    return 1;
  }
  std::printf("%zu inputs\n", files.size());
  return 0;
}
