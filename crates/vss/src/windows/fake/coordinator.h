// The other half of VSS: a coordinator that calls a registered writer. Part of vssapi.cpp.
//
// The writer's object is C++ of Microsoft's compiler, with one destructor in its table: it is called by slot, never declared. A script has
// a line for each event that is played once the writer has subscribed:
//   play Identify | PrepareSnapshot | Freeze | Thaw | PostSnapshot | Abort | Shutdown | Startup | VssShutdown
//   play PrepareBackup <component>...    with what was selected, such as P01\SiteServer
//   play BackupComplete <0|1> <component>...
//   play wait <file>                     until the file is there
//   play image                           takes the image that the script asks for
// Further lines:
//   unaffected <path>                    the set does not hold what begins so
//   whole-volumes                        nobody selects components
// A backup in this process calls the writer too: it stands behind the system's own.

static void *registered = nullptr;
static HANDLE player = nullptr;

// The one who was told why an event fails.
static HRESULT writer_failure = S_OK;

struct Chosen {
    std::wstring path, name;
    bool succeeded;
};

// `path\name`.
static Chosen chosen(const std::string &text, bool succeeded) {
    std::wstring wide(text.begin(), text.end());
    size_t end = wide.rfind(L'\\');
    return {end == std::wstring::npos ? L"" : wide.substr(0, end), wide.substr(end == std::wstring::npos ? 0 : end + 1), succeeded};
}

struct ChosenComponent : Object<IVssComponent> {
    const Chosen &what;
    explicit ChosenComponent(const Chosen &what) : what(what) {}
    HRESULT STDMETHODCALLTYPE GetLogicalPath(BSTR *path) override {
        *path = what.path.empty() ? nullptr : SysAllocString(what.path.c_str());
        return S_OK;
    }
    UNUSED(GetComponentType, VSS_COMPONENT_TYPE *)
    HRESULT STDMETHODCALLTYPE GetComponentName(BSTR *name) override {
        *name = SysAllocString(what.name.c_str());
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetBackupSucceeded(boolean *succeeded) override {
        *succeeded = what.succeeded;
        return S_OK;
    }
    UNUSED(GetAlternateLocationMappingCount, UINT *)
    UNUSED(GetAlternateLocationMapping, UINT, IVssWMFiledesc **)
    UNUSED(SetBackupMetadata, LPCWSTR)
    UNUSED(GetBackupMetadata, BSTR *)
    UNUSED(AddPartialFile, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR)
    UNUSED(GetPartialFileCount, UINT *)
    UNUSED(GetPartialFile, UINT, BSTR *, BSTR *, BSTR *, BSTR *)
    UNUSED(IsSelectedForRestore, boolean *)
    UNUSED(GetAdditionalRestores, boolean *)
    UNUSED(GetNewTargetCount, UINT *)
    UNUSED(GetNewTarget, UINT, IVssWMFiledesc **)
    UNUSED(AddDirectedTarget, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR)
    UNUSED(GetDirectedTargetCount, UINT *)
    UNUSED(GetDirectedTarget, UINT, BSTR *, BSTR *, BSTR *, BSTR *, BSTR *, BSTR *)
    UNUSED(SetRestoreMetadata, LPCWSTR)
    UNUSED(GetRestoreMetadata, BSTR *)
    UNUSED(SetRestoreTarget, VSS_RESTORE_TARGET)
    UNUSED(GetRestoreTarget, VSS_RESTORE_TARGET *)
    UNUSED(SetPreRestoreFailureMsg, LPCWSTR)
    UNUSED(GetPreRestoreFailureMsg, BSTR *)
    UNUSED(SetPostRestoreFailureMsg, LPCWSTR)
    UNUSED(GetPostRestoreFailureMsg, BSTR *)
    UNUSED(SetBackupStamp, LPCWSTR)
    UNUSED(GetBackupStamp, BSTR *)
    UNUSED(GetPreviousBackupStamp, BSTR *)
    UNUSED(GetBackupOptions, BSTR *)
    UNUSED(GetRestoreOptions, BSTR *)
    UNUSED(GetRestoreSubcomponentCount, UINT *)
    UNUSED(GetRestoreSubcomponent, UINT, BSTR *, BSTR *, boolean *)
    UNUSED(GetFileRestoreStatus, VSS_FILE_RESTORE_STATUS *)
    UNUSED(AddDifferencedFilesByLastModifyTime, LPCWSTR, LPCWSTR, WINBOOL, FILETIME)
    UNUSED(AddDifferencedFilesByLastModifyLSN, LPCWSTR, LPCWSTR, WINBOOL, BSTR)
    UNUSED(GetDifferencedFilesCount, UINT *)
    UNUSED(GetDifferencedFile, UINT, BSTR *, BSTR *, WINBOOL *, BSTR *, FILETIME *)
};

struct ChosenComponents : IVssWriterComponents {
    std::vector<Chosen> all;
    HRESULT STDMETHODCALLTYPE GetComponentCount(UINT *count) override {
        *count = all.size();
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE GetWriterInfo(VSS_ID *, VSS_ID *) override { return E_NOTIMPL; }
    HRESULT STDMETHODCALLTYPE GetComponent(UINT index, IVssComponent **component) override {
        *component = new ChosenComponent(all[index]);
        return S_OK;
    }
};

// What the writer says of itself.
struct Description : IVssCreateWriterMetadata {
    UNUSED(AddIncludeFiles, LPCWSTR, LPCWSTR, boolean, LPCWSTR)
    HRESULT STDMETHODCALLTYPE AddExcludeFiles(LPCWSTR path, LPCWSTR spec, boolean recursive) override {
        say("AddExcludeFiles %s %s %d", narrow(path).c_str(), narrow(spec).c_str(), recursive);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE AddComponent(VSS_COMPONENT_TYPE type, LPCWSTR path, LPCWSTR name, LPCWSTR caption, const BYTE *, UINT icon,
                                           boolean restore, boolean notify, boolean selectable, boolean restorable, DWORD flags) override {
        say("AddComponent %d %s %s '%s' %u %d %d %d %d %lu", static_cast<int>(type), narrow(path).c_str(), narrow(name).c_str(), narrow(caption).c_str(), icon, restore, notify, selectable, restorable, flags);
        return result_of("AddComponent");
    }
    HRESULT STDMETHODCALLTYPE AddDatabaseFiles(LPCWSTR path, LPCWSTR name, LPCWSTR folder, LPCWSTR spec, DWORD mask) override {
        say("AddDatabaseFiles %s %s %s %s %lx", narrow(path).c_str(), narrow(name).c_str(), narrow(folder).c_str(), narrow(spec).c_str(), mask);
        return S_OK;
    }
    UNUSED(AddDatabaseLogFiles, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, DWORD)
    HRESULT STDMETHODCALLTYPE AddFilesToFileGroup(LPCWSTR path, LPCWSTR name, LPCWSTR folder, LPCWSTR spec, boolean recursive, LPCWSTR alternate, DWORD mask) override {
        say("AddFilesToFileGroup %s %s %s %s %d %s %lx", narrow(path).c_str(), narrow(name).c_str(), narrow(folder).c_str(), narrow(spec).c_str(), recursive, narrow(alternate).c_str(), mask);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE SetRestoreMethod(VSS_RESTOREMETHOD_ENUM method, LPCWSTR service, LPCWSTR procedure, VSS_WRITERRESTORE_ENUM writer, boolean reboot) override {
        say("SetRestoreMethod %d %s %s %d %d", static_cast<int>(method), narrow(service).c_str(), narrow(procedure).c_str(), static_cast<int>(writer), reboot);
        return S_OK;
    }
    UNUSED(AddAlternateLocationMapping, LPCWSTR, LPCWSTR, boolean, LPCWSTR)
    UNUSED(AddComponentDependency, LPCWSTR, LPCWSTR, VSS_ID, LPCWSTR, LPCWSTR)
    UNUSED(SetBackupSchema, DWORD)
    UNUSED(GetDocument, IXMLDOMDocument **)
    UNUSED(SaveAsXML, BSTR *)
};

// Calls the method in a slot of the writer's table; says what it answered.
template <class... Arguments> static bool call(const char *event, size_t slot, Arguments... arguments) {
    writer_failure = S_OK;
    auto table = *static_cast<void ***>(registered);
    auto method = reinterpret_cast<bool (*)(void *, Arguments...)>(table[slot]);
    bool well = method(registered, arguments...);
    say("%s answered %d", event, well);
    return well;
}

static bool call_with(const char *event, size_t slot, const std::vector<Chosen> &all) {
    ChosenComponents components;
    components.all = all;
    return call(event, slot, static_cast<IVssWriterComponents *>(&components));
}

static bool identify() {
    Description description;
    return call("Identify", 1, static_cast<IVssCreateWriterMetadata *>(&description));
}

static void play(const std::vector<std::string> &line) {
    const std::string &event = line[1];
    std::vector<Chosen> all;
    bool completes = event == "BackupComplete";
    for (size_t index = completes ? 3 : 2; index < line.size(); ++index) all.push_back(chosen(line[index], !completes || line[2] == "1"));
    if (event == "Identify") identify();
    else if (event == "PrepareBackup") call_with("PrepareBackup", 2, all);
    else if (event == "PrepareSnapshot") call("PrepareSnapshot", 3);
    else if (event == "Freeze") call("Freeze", 4);
    else if (event == "Thaw") call("Thaw", 5);
    else if (event == "Abort") call("Abort", 6);
    else if (completes) call_with("BackupComplete", 7, all);
    else if (event == "Shutdown") call("BackupShutdown", 8, SET);
    else if (event == "PreRestore") call_with("PreRestore", 9, all);
    else if (event == "PostRestore") call_with("PostRestore", 10, all);
    else if (event == "PostSnapshot") call_with("PostSnapshot", 11, all);
    else if (event == "BackOff") call("BackOffIOOnVolume", 12, L"C:\\", SET, SET);
    else if (event == "Continue") call("ContinueIOOnVolume", 13, L"C:\\", SET, SET);
    else if (event == "VssShutdown") call("VSSShutdown", 14);
    else if (event == "Startup") call("VSSApplicationStartup", 15);
    else if (event == "image") take_image();
    else if (event == "wait") while (GetFileAttributesA(line[2].c_str()) == INVALID_FILE_ATTRIBUTES) Sleep(20);
    else say("play what? %s", event.c_str());
}

static bool is_hosted() { return registered != nullptr; }

// What a backup in this process has selected, and where the writer failed.
static std::vector<Chosen> selected;
static VSS_WRITER_STATE failed_at = VSS_WS_STABLE;

static void hosted_selected(const GUID &instance, const std::string &component) {
    if (instance.Data1 == 0xdddd0000) selected.push_back(chosen(component, true));
}

static void hosted_state(VSS_WRITER_STATE *state, HRESULT *failure) {
    *state = failed_at;
    *failure = failed_at == VSS_WS_STABLE ? S_OK : writer_failure;
}

static void hosted_hears(const std::string &operation) {
    if (!is_hosted()) return;
    if (operation == "GatherWriterMetadata") {
        selected.clear();
        failed_at = identify() ? VSS_WS_STABLE : VSS_WS_FAILED_AT_IDENTIFY;
    } else if (operation == "PrepareForBackup") {
        if (!call_with("PrepareBackup", 2, selected)) failed_at = VSS_WS_FAILED_AT_PREPARE_BACKUP;
    } else if (operation == "DoSnapshotSet") {
        if (!call("PrepareSnapshot", 3)) failed_at = VSS_WS_FAILED_AT_PREPARE_SNAPSHOT;
        else if (!call("Freeze", 4)) failed_at = VSS_WS_FAILED_AT_FREEZE;
        else if (!call("Thaw", 5)) failed_at = VSS_WS_FAILED_AT_THAW;
        else if (!call_with("PostSnapshot", 11, selected)) failed_at = VSS_WS_FAILED_AT_POST_SNAPSHOT;
    } else if (operation == "BackupComplete") {
        call_with("BackupComplete", 7, selected);
    } else if (operation == "AbortBackup") {
        call("Abort", 6);
    }
}

static DWORD WINAPI play_all(void *) {
    auto lines = script;
    for (const auto &line : lines)
        if (line[0] == "play") play(line);
    say("played");
    return 0;
}

struct WriterHalf : Object<IVssWriterImpl> {
    // It lives beside backups, which count what is theirs.
    WriterHalf() { --outstanding; }
    ~WriterHalf() override {
        ++outstanding;
        say("Writer released");
    }
    HRESULT STDMETHODCALLTYPE Initialize(VSS_ID id, LPCWSTR name, LPCWSTR instance, DWORD major, DWORD minor, VSS_USAGE_TYPE usage, VSS_SOURCE_TYPE source,
                                         VSS_APPLICATION_LEVEL level, DWORD timeout, VSS_ALTERNATE_WRITER_STATE alternate, boolean throttling) override {
        LOGGED("Initialize %s '%s' %s %lu %lu %d %d %d %lu %d %d", shown(id).c_str(), narrow(name).c_str(), narrow(instance).c_str(), major, minor, static_cast<int>(usage), static_cast<int>(source), static_cast<int>(level), timeout, static_cast<int>(alternate), throttling);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE Subscribe(DWORD timeout, DWORD events) override {
        LOGGED("Subscribe %lu %lu", timeout, events);
        player = CreateThread(nullptr, 0, play_all, nullptr, 0, nullptr);
        return S_OK;
    }
    HRESULT STDMETHODCALLTYPE Unsubscribe() override {
        WaitForSingleObject(player, INFINITE);
        CloseHandle(player);
        say("Unsubscribe");
        return S_OK;
    }
    void STDMETHODCALLTYPE Uninitialize() override {
        registered = nullptr;
        say("Uninitialize");
    }
    LPCWSTR *STDMETHODCALLTYPE GetCurrentVolumeArray() override { return nullptr; }
    UINT STDMETHODCALLTYPE GetCurrentVolumeCount() override { return 0; }
    UNUSED(GetSnapshotDeviceName, LPCWSTR, LPCWSTR *)
    VSS_ID *STDMETHODCALLTYPE GetCurrentSnapshotSetId(VSS_ID *) override { return nullptr; }
    LONG STDMETHODCALLTYPE GetContext() override { return 0; }
    VSS_APPLICATION_LEVEL STDMETHODCALLTYPE GetCurrentLevel() override { return VSS_APP_FRONT_END; }
    boolean STDMETHODCALLTYPE IsPathAffected(LPCWSTR path) override {
        const auto *line = wish("unaffected");
        return !line || narrow(path).compare(0, (*line)[1].size(), (*line)[1]) != 0;
    }
    boolean STDMETHODCALLTYPE IsBootableSystemStateBackedUp() override { return false; }
    boolean STDMETHODCALLTYPE AreComponentsSelected() override { return !wish("whole-volumes"); }
    VSS_BACKUP_TYPE STDMETHODCALLTYPE GetBackupType() override { return VSS_BT_COPY; }
    VSS_RESTORE_TYPE STDMETHODCALLTYPE GetRestoreType() override { return VSS_RTYPE_UNDEFINED; }
    HRESULT STDMETHODCALLTYPE SetWriterFailure(HRESULT failure) override {
        say("SetWriterFailure %08lx", static_cast<unsigned long>(failure));
        writer_failure = failure;
        return S_OK;
    }
    boolean STDMETHODCALLTYPE IsPartialFileSupportEnabled() override { return false; }
    UNUSED(InstallAlternateWriter, VSS_ID, CLSID)
    IVssExamineWriterMetadata *STDMETHODCALLTYPE GetIdentityInformation() override { return nullptr; }
    UNUSED(SetWriterFailureEx, HRESULT, HRESULT, LPCWSTR)
    UNUSED(GetSessionId, VSS_ID *)
    boolean STDMETHODCALLTYPE IsWriterShuttingDown() override { return false; }
};

extern "C" HRESULT WINAPI FakeCreateWriter(void *writer, IVssWriterImpl **half) {
    say("CreateWriter");
    HRESULT result = result_of("CreateWriter");
    if (FAILED(result)) return result;
    registered = writer;
    *half = new WriterHalf;
    return S_OK;
}
