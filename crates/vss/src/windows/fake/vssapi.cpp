// A vssapi.dll for tests: it answers as a script tells it, and logs each call with its arguments.
//
// Compiled against mingw-w64's public-domain headers, so its tables of methods are not ours: a call of ours that arrives under its own
// name with its own arguments has taken the right slot. It proves nothing of what Windows accepts.
//
// Beside the library, whatever its name, lie `<library>.script`, read when a backup is created, and `<library>.log`, which grows. A script
// has a line for each wish:
//   fail <method> <hresult>              the method returns it
//   end <operation> <hresult>            the operation ends with it
//   pending <count>                      every operation is pending for so many looks at it
//   never <operation>                    the operation never ends by itself
//   writer <0|1|2> <state> <hresult> <operation>    once the operation has ended the SMS Writer, the System Writer or SqlServerWriter is in
//                                        this state
//   no-sms-writer                        there is only the System Writer
//   image <folder> <prefix>              DoSnapshotSet copies the folder; the device of snapshot 1 is the prefix with a 1, and below it
//                                        the folder lies as on its volume, until the backup is released
//   also-image <number> <folder>         and this folder, for snapshot <number>, whose device is the prefix with that number
//   append <file> <word>                 the word is appended to the file after DoSnapshotSet
//   refuse-volume <volume> <hresult>     AddToSnapshotSet returns it for this volume
//   sql-writer                           there is SqlServerWriter too
//   sql-component <logical path> <name> [hidden]     which offers this, as SQL Server's does; a hidden one cannot be selected
//   sql-file <name> <0|1|2> <path> <spec> [recursive] [<alternate>]    a file of the component: of no kind, of the database, of its log
//   sql-count <name> <count>             the component says that it has so many files of no kind
// When a backup is released for the last time, the log says how many other objects, component infos and snapshot properties are still out.

#include <windows.h>
#include <vss.h>
#include <vswriter.h>
#include <vsbackup.h>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

static std::string library_path() {
    HMODULE self = nullptr;
    char path[1024];
    GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                       reinterpret_cast<LPCSTR>(&library_path), &self);
    GetModuleFileNameA(self, path, sizeof path);
    return path;
}

// Others write to the log as well, under the same lock.
static void append(const std::string &line) {
    HANDLE file = CreateFileA((library_path() + ".log").c_str(), GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_ALWAYS, 0, nullptr);
    if (file == INVALID_HANDLE_VALUE) return;
    OVERLAPPED whole = {};
    LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK, 0, MAXDWORD, MAXDWORD, &whole);
    SetFilePointer(file, 0, nullptr, FILE_END);
    DWORD written;
    WriteFile(file, line.data(), static_cast<DWORD>(line.size()), &written, nullptr);
    CloseHandle(file);
}

static void say(const char *format, ...) {
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    append(std::string(line) + "\n");
}

static std::string narrow(const WCHAR *text) {
    if (!text) return "-";
    char narrowed[1024];
    WideCharToMultiByte(CP_UTF8, 0, text, -1, narrowed, sizeof narrowed, nullptr, nullptr);
    return narrowed;
}

static std::string shown(const GUID &id) {
    char text[16];
    snprintf(text, sizeof text, "%08lx", static_cast<unsigned long>(id.Data1));
    return text;
}

// The script, with a reading of it for each question.
static std::vector<std::vector<std::string>> script;

static void read_script() {
    script.clear();
    std::ifstream file(library_path() + ".script");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::vector<std::string> parts;
        for (std::string word; words >> word;) parts.push_back(word);
        if (!parts.empty()) script.push_back(parts);
    }
}

static const std::vector<std::string> *wish(const char *kind, const char *of = nullptr) {
    for (const auto &line : script)
        if (line[0] == kind && (!of || line[1] == of)) return &line;
    return nullptr;
}

static HRESULT number(const std::string &text) { return static_cast<HRESULT>(std::stoul(text, nullptr, 16)); }

static HRESULT result_of(const char *method) {
    const auto *line = wish("fail", method);
    return line ? number((*line)[2]) : S_OK;
}

// What the caller still has to give back, apart from the backup itself.
static long outstanding = 0;
static std::vector<std::string> ended;

template <class Base> struct Object : Base {
    LONG references = 1;
    Object() { ++outstanding; }
    virtual ~Object() { --outstanding; }
    HRESULT STDMETHODCALLTYPE QueryInterface(REFIID, void **object) override {
        *object = nullptr;
        return E_NOINTERFACE;
    }
    ULONG STDMETHODCALLTYPE AddRef() override { return ++references; }
    ULONG STDMETHODCALLTYPE Release() override {
        ULONG left = --references;
        if (!left) delete this;
        return left;
    }
};

// Calls of the system and not std::filesystem, whose copy fails here where folders lie in folders.
template <class Visit> static void each_entry(const std::string &folder, Visit visit) {
    WIN32_FIND_DATAA entry;
    HANDLE search = FindFirstFileA((folder + "\\*").c_str(), &entry);
    if (search == INVALID_HANDLE_VALUE) return;
    do {
        std::string name = entry.cFileName;
        if (name != "." && name != "..") visit(name, (entry.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0);
    } while (FindNextFileA(search, &entry));
    FindClose(search);
}

static void copy_below(const std::string &from, const std::string &to) {
    CreateDirectoryA(to.c_str(), nullptr);
    each_entry(from, [&](const std::string &name, bool is_folder) {
        std::string source = from + "\\" + name, target = to + "\\" + name;
        if (is_folder) {
            copy_below(source, target);
        } else if (!CopyFileA(source.c_str(), target.c_str(), TRUE)) {
            say("%s is not in the image: error %lu", source.c_str(), GetLastError());
        }
    });
}

static void remove_whole(const std::string &folder) {
    each_entry(folder, [&](const std::string &name, bool is_folder) {
        std::string place = folder + "\\" + name;
        if (is_folder) remove_whole(place); else DeleteFileA(place.c_str());
    });
    RemoveDirectoryA(folder.c_str());
}

static void take_image_of(const std::string &from, const std::string &to) {
    // The folders above it, each as it lies on the volume behind `C:`.
    for (size_t end = 2; end != std::string::npos; end = from.find('\\', end + 1))
        CreateDirectoryA((to + from.substr(2, end - 2)).c_str(), nullptr);
    copy_below(from, to + from.substr(2));
}

static void take_image() {
    const auto *image = wish("image");
    if (!image) return;
    take_image_of((*image)[1], (*image)[2] + "1");
    for (const auto &line : script)
        if (line[0] == "also-image") take_image_of(line[2], (*image)[2] + line[1]);
    for (const auto &line : script)
        if (line[0] == "append") std::ofstream(line[1], std::ios::app) << line[2];
}

// What a writer in this process hears of a backup here; see coordinator.h.
static bool is_hosted();
static void hosted_hears(const std::string &operation);
static void hosted_state(VSS_WRITER_STATE *state, HRESULT *failure);
static void hosted_selected(const GUID &instance, const std::string &component);

struct Operation : Object<IVssAsync> {
    const char *name;
    long looks = 0;
    bool cancelled = false, told = false;
    explicit Operation(const char *name) : name(name) {}
    HRESULT STDMETHODCALLTYPE Cancel() override {
        say("Cancel %s", name);
        cancelled = true;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE Wait(DWORD milliseconds) override {
        // Long enough to let others run, short enough for a test.
        Sleep(milliseconds < 5 ? milliseconds : 5);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE QueryStatus(HRESULT *result, INT *reserved) override {
        const auto *pending = wish("pending");
        if (cancelled) {
            *result = VSS_S_ASYNC_CANCELLED;
        } else if (wish("never", name) || (pending && looks++ < atol((*pending)[1].c_str()))) {
            *result = VSS_S_ASYNC_PENDING;
        } else {
            const auto *end = wish("end", name);
            *result = end ? number((*end)[2]) : VSS_S_ASYNC_FINISHED;
            if (!told) {
                told = true;
                ended.push_back(name);
                hosted_hears(name);
                if (!strcmp(name, "DoSnapshotSet")) take_image();
                say("%s ended", name);
            }
        }
        return S_OK;
    }
};

struct Writer {
    GUID id, instance;
    const WCHAR *name;
};

static const Writer WRITERS[] = {
    {{0x03ba67dd, 0xdc6d, 0x4729, {0xa0, 0x38, 0x25, 0x1f, 0x70, 0x18, 0x46, 0x3b}}, {0xaaaa0000, 1, 2, {1, 2, 3, 4, 5, 6, 7, 8}}, L"SMS Writer"},
    {{0xe8132975, 0x6f93, 0x4464, {0xa5, 0x3e, 0x10, 0x50, 0x25, 0x3a, 0xe2, 0x20}}, {0xbbbb0000, 1, 2, {1, 2, 3, 4, 5, 6, 7, 8}}, L"System Writer"},
    {{0xa65faa63, 0x5ea8, 0x4ebc, {0x9d, 0xbd, 0xa0, 0xc4, 0xdb, 0x26, 0x91, 0x2a}}, {0xcccc0000, 1, 2, {1, 2, 3, 4, 5, 6, 7, 8}}, L"SqlServerWriter"},
    // Ours, while it is registered in this process.
    {{0x03ba67dd, 0xdc6d, 0x4729, {0xa0, 0x38, 0x25, 0x1f, 0x70, 0x18, 0x46, 0x3b}}, {0xdddd0000, 1, 2, {1, 2, 3, 4, 5, 6, 7, 8}}, L"SMS Writer (sitebackup)"},
};
static const Writer *const SQL_SERVER = &WRITERS[2];
static const UINT HOSTED = 3;

// The places of those that are here.
static std::vector<UINT> present() {
    std::vector<UINT> places;
    if (!wish("no-sms-writer")) places.push_back(0);
    places.push_back(1);
    if (wish("sql-writer")) places.push_back(2);
    if (is_hosted()) places.push_back(HOSTED);
    return places;
}

struct Component : Object<IVssWMComponent> {
    UINT index;
    explicit Component(UINT index) : index(index) {}
    HRESULT STDMETHODCALLTYPE GetComponentInfo(PVSSCOMPONENTINFO *info) override {
        auto *made = new VSS_COMPONENTINFO();
        made->type = index == 1 ? VSS_CT_DATABASE : VSS_CT_FILEGROUP;
        made->bstrLogicalPath = index == 0 ? nullptr : SysAllocString(L"SMS");
        made->bstrComponentName = SysAllocString(index == 0 ? L"Site" : index == 1 ? L"CM_P01" : L"Hidden");
        made->bRestoreMetadata = made->bNotifyOnBackupComplete = made->bSelectableForRestore = true;
        made->bSelectable = index != 2;
        *info = made;
        ++outstanding;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE FreeComponentInfo(PVSSCOMPONENTINFO info) override {
        SysFreeString(info->bstrLogicalPath);
        SysFreeString(info->bstrComponentName);
        delete info;
        --outstanding;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetFile(UINT, IVssWMFiledesc **) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetDatabaseFile(UINT, IVssWMFiledesc **) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetDatabaseLogFile(UINT, IVssWMFiledesc **) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetDependency(UINT, IVssWMDependency **) override { return E_NOTIMPL; }
};

static BSTR widened(const std::string &text) {
    WCHAR wide[1024];
    MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, wide, 1024);
    return SysAllocString(wide);
}

// A line of the script that is a file of SQL Server.
struct SqlFile : Object<IVssWMFiledesc> {
    std::vector<std::string> line;
    explicit SqlFile(const std::vector<std::string> &line) : line(line) {}
    HRESULT STDMETHODCALLTYPE GetPath(BSTR *path) override { *path = widened(line[3]); return S_OK; }
    HRESULT STDMETHODCALLTYPE GetFilespec(BSTR *spec) override { *spec = widened(line[4]); return S_OK; }
    HRESULT STDMETHODCALLTYPE GetRecursive(boolean *recursive) override {
        *recursive = line.size() > 5 && line[5] == "recursive";
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetAlternateLocation(BSTR *alternate) override {
        *alternate = line.size() > 6 ? widened(line[6]) : nullptr;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetBackupTypeMask(DWORD *mask) override { *mask = 0xf0f; return S_OK; }
};

// A line of the script that is a component of SQL Server's writer.
struct SqlComponent : Object<IVssWMComponent> {
    std::vector<std::string> line;
    explicit SqlComponent(const std::vector<std::string> &line) : line(line) {}
    std::vector<std::vector<std::string>> files(UINT kind) {
        std::vector<std::vector<std::string>> found;
        for (const auto &other : script)
            if (other[0] == "sql-file" && other[1] == line[2] && other[2] == std::to_string(kind)) found.push_back(other);
        return found;
    }
    HRESULT STDMETHODCALLTYPE GetComponentInfo(PVSSCOMPONENTINFO *info) override {
        auto *made = new VSS_COMPONENTINFO();
        made->type = VSS_CT_FILEGROUP;
        made->bstrLogicalPath = widened(line[1]);
        made->bstrComponentName = widened(line[2]);
        made->bNotifyOnBackupComplete = made->bSelectableForRestore = true;
        made->bSelectable = line.size() < 4;
        const auto *count = wish("sql-count", line[2].c_str());
        made->cFileCount = count ? std::stoul((*count)[2]) : files(0).size();
        made->cDatabases = files(1).size();
        made->cLogFiles = files(2).size();
        *info = made;
        ++outstanding;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE FreeComponentInfo(PVSSCOMPONENTINFO info) override {
        SysFreeString(info->bstrLogicalPath);
        SysFreeString(info->bstrComponentName);
        delete info;
        --outstanding;
        return S_OK;
    }
    HRESULT file(UINT kind, UINT index, IVssWMFiledesc **file) {
        auto all = files(kind);
        if (index >= all.size()) return VSS_E_OBJECT_NOT_FOUND;
        *file = new SqlFile(all[index]);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetFile(UINT index, IVssWMFiledesc **found) override {
        HRESULT result = result_of("GetFile");
        return FAILED(result) ? result : file(0, index, found);
    }
    HRESULT STDMETHODCALLTYPE GetDatabaseFile(UINT index, IVssWMFiledesc **found) override { return file(1, index, found); }
    HRESULT STDMETHODCALLTYPE GetDatabaseLogFile(UINT index, IVssWMFiledesc **found) override { return file(2, index, found); }
    HRESULT STDMETHODCALLTYPE GetDependency(UINT, IVssWMDependency **) override { return E_NOTIMPL; }
};

static std::vector<std::vector<std::string>> sql_components() {
    std::vector<std::vector<std::string>> found;
    for (const auto &line : script)
        if (line[0] == "sql-component") found.push_back(line);
    return found;
}

struct Metadata : Object<IVssExamineWriterMetadata> {
    const Writer &writer;
    explicit Metadata(const Writer &writer) : writer(writer) {}
    HRESULT STDMETHODCALLTYPE GetIdentity(VSS_ID *instance, VSS_ID *id, BSTR *name, VSS_USAGE_TYPE *usage, VSS_SOURCE_TYPE *source) override {
        *instance = writer.instance;
        *id = writer.id;
        *name = SysAllocString(writer.name);
        *usage = VSS_UT_USERDATA;
        *source = VSS_ST_OTHER;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetFileCounts(UINT *included, UINT *excluded, UINT *components) override {
        *included = *excluded = 0;
        *components = &writer == SQL_SERVER ? sql_components().size() : 3;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetIncludeFile(UINT, IVssWMFiledesc **) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetExcludeFile(UINT, IVssWMFiledesc **) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetComponent(UINT index, IVssWMComponent **component) override {
        HRESULT result = result_of("GetComponent");
        if (FAILED(result)) return result;
        if (&writer == SQL_SERVER) *component = new SqlComponent(sql_components()[index]); else *component = new Component(index);
        return result;
    }
    HRESULT STDMETHODCALLTYPE GetRestoreMethod(VSS_RESTOREMETHOD_ENUM *, BSTR *, BSTR *, VSS_WRITERRESTORE_ENUM *, boolean *, UINT *) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetAlternateLocationMapping(UINT, IVssWMFiledesc **) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetBackupSchema(DWORD *) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetDocument(IXMLDOMDocument **) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE SaveAsXML(BSTR *document) override {
        std::wstring text = std::wstring(L"<WRITER_METADATA friendlyName=\"") + writer.name + L"\" site=\"\x00fc\"/>";
        *document = SysAllocString(text.c_str());
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE LoadFromXML(BSTR) override { return E_NOTIMPL; }
};

static const GUID SET = {0x11111111, 1, 2, {1, 2, 3, 4, 5, 6, 7, 8}};

// A method that a requestor of backups has no business with.
#define UNUSED(name, ...) \
    HRESULT STDMETHODCALLTYPE name(__VA_ARGS__) override { say(#name); return E_NOTIMPL; }
#define LOGGED(...) \
    do { say(__VA_ARGS__); HRESULT result = result_of(__func__); if (FAILED(result)) return result; } while (0)
#define STARTS(name) \
    HRESULT STDMETHODCALLTYPE name(IVssAsync **operation) override { LOGGED(#name); *operation = new Operation(#name); return S_OK; }

struct Backup : Object<IVssBackupComponents> {
    ULONG snapshots = 0;
    std::string prefix = "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy";
    bool is_copied = false;
    std::wstring components;
    Backup() {
        if (const auto *image = wish("image")) {
            prefix = (*image)[2];
            is_copied = true;
        }
    }
    ~Backup() override {
        for (ULONG number = 1; is_copied && number <= snapshots; ++number) remove_whole(prefix + std::to_string(number));
        say("Release, %ld left", outstanding - 1);
    }
    UNUSED(GetWriterComponentsCount, UINT *)
    UNUSED(GetWriterComponents, UINT, IVssWriterComponentsExt **)
    HRESULT STDMETHODCALLTYPE InitializeForBackup(BSTR xml) override {
        LOGGED("InitializeForBackup %s", narrow(xml).c_str());
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE SetBackupState(boolean select, boolean bootable, VSS_BACKUP_TYPE type, boolean partial) override {
        LOGGED("SetBackupState %d %d %d %d", select, bootable, static_cast<int>(type), partial);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE InitializeForRestore(BSTR xml) override {
        LOGGED("InitializeForRestore %s", narrow(xml).c_str());
        return S_OK;
    }
    UNUSED(SetRestoreState, VSS_RESTORE_TYPE)
    STARTS(GatherWriterMetadata)
    HRESULT STDMETHODCALLTYPE GetWriterMetadataCount(UINT *count) override {
        *count = present().size();
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetWriterMetadata(UINT index, VSS_ID *instance, IVssExamineWriterMetadata **metadata) override {
        const Writer &writer = WRITERS[present()[index]];
        LOGGED("GetWriterMetadata %u", index);
        *instance = writer.instance;
        *metadata = new Metadata(writer);
        return S_OK;
    }
    UNUSED(FreeWriterMetadata)
    HRESULT STDMETHODCALLTYPE AddComponent(VSS_ID instance, VSS_ID writer, VSS_COMPONENT_TYPE type, LPCWSTR path, LPCWSTR name) override {
        LOGGED("AddComponent %s %s %d %s %s", shown(instance).c_str(), shown(writer).c_str(), static_cast<int>(type), narrow(path).c_str(), narrow(name).c_str());
        hosted_selected(instance, narrow(path) + "\\" + narrow(name));
        WCHAR ids[2][40];
        StringFromGUID2(instance, ids[0], 40);
        StringFromGUID2(writer, ids[1], 40);
        components += std::wstring(L"<WRITER_COMPONENTS instanceId=\"") + ids[0] + L"\" writerId=\"" + ids[1] + L"\"><COMPONENT";
        if (path) components += std::wstring(L" logicalPath=\"") + path + L"\"";
        components += std::wstring(L" componentName=\"") + name + L"\" componentType=\"" + (type == VSS_CT_DATABASE ? L"database" : L"filegroup") + L"\"/></WRITER_COMPONENTS>";
        return S_OK;
    }
    STARTS(PrepareForBackup)
    HRESULT STDMETHODCALLTYPE AbortBackup() override {
        LOGGED("AbortBackup");
        hosted_hears("AbortBackup");
        return S_OK;
    }
    STARTS(GatherWriterStatus)
    HRESULT STDMETHODCALLTYPE GetWriterStatusCount(UINT *count) override { return GetWriterMetadataCount(count); }
    HRESULT STDMETHODCALLTYPE FreeWriterStatus() override { return S_OK; }
    HRESULT STDMETHODCALLTYPE GetWriterStatus(UINT index, VSS_ID *instance, VSS_ID *id, BSTR *name, VSS_WRITER_STATE *state, HRESULT *failure) override {
        UINT number_of_writer = present()[index];
        const Writer &writer = WRITERS[number_of_writer];
        *instance = writer.instance;
        *id = writer.id;
        *name = SysAllocString(writer.name);
        *state = VSS_WS_STABLE;
        *failure = S_OK;
        if (number_of_writer == HOSTED) hosted_state(state, failure);
        const auto *line = wish("writer", std::to_string(number_of_writer).c_str());
        for (const auto &operation : ended)
            if (line && (*line)[4] == operation) {
                *state = static_cast<VSS_WRITER_STATE>(std::stol((*line)[2]));
                *failure = number((*line)[3]);
            }
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE SetBackupSucceeded(VSS_ID instance, VSS_ID writer, VSS_COMPONENT_TYPE type, LPCWSTR path, LPCWSTR name, boolean succeeded) override {
        LOGGED("SetBackupSucceeded %s %s %d %s %s %d", shown(instance).c_str(), shown(writer).c_str(), static_cast<int>(type), narrow(path).c_str(), narrow(name).c_str(), succeeded);
        return S_OK;
    }
    UNUSED(SetBackupOptions, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR)
    HRESULT STDMETHODCALLTYPE SetSelectedForRestore(VSS_ID writer, VSS_COMPONENT_TYPE type, LPCWSTR path, LPCWSTR name, boolean selected) override {
        LOGGED("SetSelectedForRestore %s %d %s %s %d", shown(writer).c_str(), static_cast<int>(type), narrow(path).c_str(), narrow(name).c_str(), selected);
        return S_OK;
    }
    UNUSED(SetRestoreOptions, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR)
    UNUSED(SetAdditionalRestores, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, boolean)
    UNUSED(SetPreviousBackupStamp, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR)
    HRESULT STDMETHODCALLTYPE SaveAsXML(BSTR *document) override {
        LOGGED("SaveAsXML");
        *document = SysAllocString((L"<BACKUP_COMPONENTS>" + components + L"</BACKUP_COMPONENTS>").c_str());
        return S_OK;
    }
    STARTS(BackupComplete)
    UNUSED(AddAlternativeLocationMapping, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, boolean, LPCWSTR)
    UNUSED(AddRestoreSubcomponent, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, boolean)
    HRESULT STDMETHODCALLTYPE SetFileRestoreStatus(VSS_ID writer, VSS_COMPONENT_TYPE type, LPCWSTR path, LPCWSTR name, VSS_FILE_RESTORE_STATUS status) override {
        LOGGED("SetFileRestoreStatus %s %d %s %s %d", shown(writer).c_str(), static_cast<int>(type), narrow(path).c_str(), narrow(name).c_str(), static_cast<int>(status));
        return S_OK;
    }
    UNUSED(AddNewTarget, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, boolean, LPCWSTR)
    UNUSED(SetRangesFilePath, VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, UINT, LPCWSTR)
    STARTS(PreRestore)
    STARTS(PostRestore)
    HRESULT STDMETHODCALLTYPE SetContext(LONG context) override {
        LOGGED("SetContext %ld", context);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE StartSnapshotSet(VSS_ID *set) override {
        LOGGED("StartSnapshotSet");
        *set = SET;
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE AddToSnapshotSet(VSS_PWSZ volume, VSS_ID provider, VSS_ID *snapshot) override {
        LOGGED("AddToSnapshotSet %s %s", narrow(volume).c_str(), shown(provider).c_str());
        const auto *refused = wish("refuse-volume", narrow(volume).c_str());
        if (refused) return number((*refused)[2]);
        *snapshot = GUID{0x22222220 + ++snapshots, 1, 2, {1, 2, 3, 4, 5, 6, 7, 8}};
        return S_OK;
    }
    STARTS(DoSnapshotSet)
    HRESULT STDMETHODCALLTYPE DeleteSnapshots(VSS_ID id, VSS_OBJECT_TYPE type, WINBOOL force, LONG *deleted, VSS_ID *stubborn) override {
        LOGGED("DeleteSnapshots %s %d %d", shown(id).c_str(), static_cast<int>(type), force);
        *deleted = snapshots;
        *stubborn = GUID{};
        return S_OK;
    }
    UNUSED(ImportSnapshots, IVssAsync **)
    UNUSED(BreakSnapshotSet, VSS_ID)
    HRESULT STDMETHODCALLTYPE GetSnapshotProperties(VSS_ID id, VSS_SNAPSHOT_PROP *properties) override {
        LOGGED("GetSnapshotProperties %s", shown(id).c_str());
        std::string name = prefix + std::to_string(id.Data1 - 0x22222220);
        memset(properties, 0x5a, sizeof *properties);
        properties->m_SnapshotId = id;
        properties->m_SnapshotSetId = SET;
        properties->m_lSnapshotsCount = snapshots;
        auto *wide = new WCHAR[name.size() + 1];
        MultiByteToWideChar(CP_UTF8, 0, name.c_str(), -1, wide, name.size() + 1);
        properties->m_pwszSnapshotDeviceObject = wide;
        properties->m_eStatus = VSS_SS_CREATED;
        ++outstanding;
        return S_OK;
    }
    UNUSED(Query, VSS_ID, VSS_OBJECT_TYPE, VSS_OBJECT_TYPE, IVssEnumObject **)
    UNUSED(IsVolumeSupported, VSS_ID, VSS_PWSZ, WINBOOL *)
    UNUSED(DisableWriterClasses, const VSS_ID *, UINT)
    UNUSED(EnableWriterClasses, const VSS_ID *, UINT)
    UNUSED(DisableWriterInstances, const VSS_ID *, UINT)
    UNUSED(ExposeSnapshot, VSS_ID, VSS_PWSZ, LONG, VSS_PWSZ, VSS_PWSZ *)
    UNUSED(RevertToSnapshot, VSS_ID, WINBOOL)
    UNUSED(QueryRevertStatus, VSS_PWSZ, IVssAsync **)
};

extern "C" HRESULT WINAPI FakeCreate(IVssBackupComponents **backup) {
    read_script();
    ended.clear();
    say("Create");
    HRESULT result = result_of("Create");
    if (SUCCEEDED(result)) *backup = new Backup;
    return result;
}

extern "C" void WINAPI FakeFreeProperties(VSS_SNAPSHOT_PROP *properties) {
    delete[] properties->m_pwszSnapshotDeviceObject;
    --outstanding;
}

#include "coordinator.h"
