# Warnings, hardening and sanitizers, in one interface target that every other one links privately.
add_library(sf_options INTERFACE)
target_compile_options(sf_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Wcast-align -Woverloaded-virtual -Wnull-dereference -Wdouble-promotion
  -Wformat=2 -Wimplicit-fallthrough -Wunused -Wextra-semi
  -fstack-protector-strong -fno-strict-aliasing -ffunction-sections -fdata-sections)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(sf_options INTERFACE -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wuseless-cast)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # g++ 12 sees overlapping copies in std::string's operator+ that are not there (GCC bug 105651).
    target_compile_options(sf_options INTERFACE -Wno-restrict)
  endif()
  if(SF_SANITIZE OR SF_SANITIZE_THREADS)
    # g++ 12 sees null dereferences that are not there once the sanitizers have instrumented the code.
    target_compile_options(sf_options INTERFACE -Wno-null-dereference)
  endif()
endif()
target_link_options(sf_options INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now)
# An executable that loads anywhere (PIE) needs the linker to be told as well. tests/unit/hardening_test.py looks at the result.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|i.86)$")
  target_compile_options(sf_options INTERFACE -fstack-clash-protection -fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  target_compile_options(sf_options INTERFACE -fstack-clash-protection -mbranch-protection=standard)
endif()
if(SF_FUZZERS)
  # Every file is watched by libFuzzer; fuzz/ links it. -O1: building takes longer than what more would save.
  add_compile_options(-O1 -g1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
elseif(SF_COVERAGE)
  add_compile_options(-O0 -g1 --coverage -fprofile-update=atomic)
  add_link_options(--coverage)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
elseif(SF_SANITIZE)
  # -O1: the sanitizers take most of the time that more would save, and the build is the longer part of a run.
  # Without vptr: that check opens a pipe, and where a test has used up all descriptors it reports what is not there.
  add_compile_options(-O1 -g1 -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
elseif(SF_SANITIZE_THREADS)
  add_compile_options(-O1 -g1 -fsanitize=thread)
  add_link_options(-fsanitize=thread)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
else()
  add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=3>)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
