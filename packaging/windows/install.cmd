@echo off
rem The folder of configuration and journal, for administrators and the system
rem only, with the example in it unless there is a configuration already.
setlocal
set target=%ProgramData%\calljournal
if not exist "%target%" mkdir "%target%" || exit /b 1
icacls "%target%" /inheritance:r /grant:r *S-1-5-32-544:(OI)(CI)F *S-1-5-18:(OI)(CI)F >nul || exit /b 1
if not exist "%target%\calljournal.toml" copy "%~dp0calljournal.toml" "%target%\calljournal.toml" >nul || exit /b 1
echo Next: edit "%target%\calljournal.toml", then: calljournal service install
