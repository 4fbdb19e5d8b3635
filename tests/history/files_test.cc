// A history on disk: names, files, order by time, and what a killed writer leaves.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/history/checker.h"
#include "tests/history/invented.h"
#include "tests/history/names.h"
#include "tests/history/reader.h"
#include "tests/history/report.h"
#include "tests/history/writer.h"

namespace peermesh::history {
namespace {

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "history.XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory = path;
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  void WriteInvented() {
    const auto names = Names::Open(directory);
    ASSERT_TRUE(names.ok());
    for (const std::string& name : Invented::Names()) (*names)->Of(name);
    std::vector<std::unique_ptr<Writer>> writers;
    for (const char* name : {"one", "two", "three"})
      writers.push_back(*Writer::Create(directory, name));
    Invent(48, [&](const Record& record) {
      writers[record.actor % 3]->AppendTimed({&record, 1});
      written.push_back(record);
    });
  }

  Report Check() {
    const auto reader = Reader::Open(directory);
    EXPECT_TRUE(reader.ok()) << reader.status();
    Checker checker(reader->names());
    reader->ForEach([&](const Record& record) { checker.Add(record); });
    return checker.Finish();
  }

  std::string directory;
  std::vector<Record> written;
};

TEST_F(FilesTest, RecordsOfAllFilesComeByTime) {
  WriteInvented();
  const auto reader = Reader::Open(directory);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->records(), written.size());
  EXPECT_EQ(reader->files(), 3u);
  EXPECT_EQ(reader->cut_short(), 0u);
  EXPECT_EQ(reader->names(), Invented::Names());
  std::size_t at = 0;
  reader->ForEach([&](const Record& record) {
    ASSERT_LT(at, written.size());
    EXPECT_EQ(record.time_ns, written[at].time_ns);
    EXPECT_EQ(record.event, written[at].event);
    ++at;
  });
  EXPECT_EQ(at, written.size());
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
}

TEST_F(FilesTest, ALastRecordThatIsCutShortIsIgnored) {
  WriteInvented();
  std::ofstream(directory + "/two.history", std::ios::app) << "not quite a record";
  const auto reader = Reader::Open(directory);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->records(), written.size());
  EXPECT_EQ(reader->cut_short(), 1u);
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
}

TEST_F(FilesTest, AnEmptyFileIsNoHindrance) {
  WriteInvented();
  std::ofstream(directory + "/empty.history").flush();
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
}

TEST_F(FilesTest, WhatIsNotThereIsSaidPlainly) {
  EXPECT_EQ(Reader::Open(directory).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(directory + "/names.txt").flush();
  EXPECT_EQ(Reader::Open(directory).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FilesTest, AFileIsNeverOverwritten) {
  ASSERT_TRUE(Writer::Create(directory, "one").ok());
  EXPECT_FALSE(Writer::Create(directory, "one").ok());
}

TEST_F(FilesTest, OneNameHasOneNumberForAllWhoWriteAtOnce) {
  constexpr int kWriters = 4, kNames = 200;
  std::vector<std::vector<std::uint32_t>> lines(kWriters);
  std::vector<std::thread> threads;
  threads.reserve(kWriters);
  for (int writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      const auto names = Names::Open(directory);
      for (int i = 0; i < kNames; ++i)
        lines[writer].push_back((*names)->Of("name " + std::to_string((i + writer * 50) % kNames)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto names = ReadNames(directory);
  ASSERT_TRUE(names.ok());
  ASSERT_EQ(names->size(), static_cast<std::size_t>(kNames));
  for (int writer = 0; writer < kWriters; ++writer) {
    for (int i = 0; i < kNames; ++i) {
      EXPECT_EQ((*names)[lines[writer][i]], "name " + std::to_string((i + writer * 50) % kNames));
    }
  }
}

TEST_F(FilesTest, AWriterFlushesAtSizeOnDemandAndAtItsEnd) {
  const std::string path = directory + "/one.history";
  auto writer = *Writer::Create(directory, "one");
  for (std::size_t i = 0; i + 1 < kBufferedRecords; ++i) writer->Append({.event = Event::kQuiet});
  EXPECT_EQ(std::filesystem::file_size(path), 0u);
  writer->Append({.event = Event::kQuiet});
  EXPECT_EQ(std::filesystem::file_size(path), kBufferedRecords * sizeof(Record));
  writer->Append({.event = Event::kQuiet});
  writer->Flush();
  EXPECT_EQ(std::filesystem::file_size(path), (kBufferedRecords + 1) * sizeof(Record));
  writer->Append({.event = Event::kQuiet});
  writer.reset();
  EXPECT_EQ(std::filesystem::file_size(path), (kBufferedRecords + 2) * sizeof(Record));
}

TEST_F(FilesTest, AViolationIsShownWithAllItsRecords) {
  WriteInvented();
  const auto lost = std::find_if(written.rbegin(), written.rend(), [](const Record& r) {
    return r.event == Event::kDeliver && r.channel == 9 && r.peer != r.origin;
  });
  ASSERT_NE(lost, written.rend());
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  const auto names = Names::Open(directory);
  for (const std::string& name : Invented::Names()) (*names)->Of(name);
  {
    const auto writer = *Writer::Create(directory, "all");
    for (const Record& r : written) {
      if (&r != &*lost) writer->AppendTimed({&r, 1});
    }
  }
  const Report report = Check();
  EXPECT_EQ(report.verdict, Verdict::kViolated);
  const std::string text = Explain(report, *Reader::Open(directory), 3);
  EXPECT_NE(text.find("VIOLATION owed"), std::string::npos) << text;
  EXPECT_NE(text.find("publishes message " + std::to_string(lost->message)), std::string::npos);
  EXPECT_NE(text.find("accepted by"), std::string::npos);
  EXPECT_NE(text.find("subscribes >"), std::string::npos);
  EXPECT_NE(ToText(report, *ReadNames(directory)).find("history violated: 1 unexplained"),
            std::string::npos);
  EXPECT_NE(ToJson(report, *ReadNames(directory)).find("\"owed\": 1"), std::string::npos);
}

}  // namespace
}  // namespace peermesh::history
