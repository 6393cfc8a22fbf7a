#!/bin/sh
# The packages of requirements.txt in a virtual environment at /opt/deftunes, as bytecode.
set -eu

python3 -m venv --without-pip /opt/deftunes
# By way of wheels: PySpark comes as source, and what builds it must not stay.
python -m pip wheel --require-hashes --no-deps --no-build-isolation --quiet --wheel-dir wheels \
  --requirement requirements.txt
python -m pip --python /opt/deftunes/bin/python install --no-deps --no-index --no-compile --quiet wheels/*.whl
rm -r wheels

# What nothing loads of pyarrow: headers, tests, Flight, and copies of libraries under other names.
pyarrow=/opt/deftunes/lib/python3.11/site-packages/pyarrow
if [ -d $pyarrow ]; then (
  cd $pyarrow
  rm -rf include tests src ./*.pyx ./*.pxd ./*.pxi ./*flight*.so* ./*_cpp_tests*.so*
  for library in libarrow_python libarrow_python_parquet_encryption; do
    # Older ones have no versioned name.
    full=$(ls $library.so.*.* 2>/dev/null) || continue
    ln -sf "$full" "${full%.*.*}"
    ln -sf "$full" $library.so
  done
) fi

python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/deftunes/lib
