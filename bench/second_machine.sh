#!/bin/sh
# The same seed on a second machine: the data verbs in an emulated computer, hash by hash beside this one's.
#
#   bench/second_machine.sh FOLDER ARCHITECTURE CPU PATIENTS      e.g. /var/tmp/second amd64 Nehalem 30
#                                                                      /var/tmp/second arm64 cortex-a72 30
#
# As root, on Debian 12: apt-get install debootstrap qemu-system-x86 qemu-system-arm qemu-user-static binfmt-support
# The second machine is Debian 12 with its own kernel and Python and without network; this checkout is installed in
# it by pip, with the versions of PYTHON's environment (default: python3). FOLDER needs 5 GiB; nothing else is written.
set -eu
folder=$1 architecture=$2 cpu=$3 patients=$4
python=${PYTHON:-python3} here=$(cd "$(dirname "$0")/.." && pwd)
root=$folder/root-$architecture wheels=$folder/wheels-$architecture disk=$folder/disk-$architecture.img
mkdir -p "$wheels"
case $architecture in
amd64) machine=x86_64 board=q35 console=ttyS0 ;;
arm64) machine=aarch64 board=virt console=ttyAMA0 ;;
esac

# 1. This checkout and what it needs, in the versions of this environment.
rm -f "$wheels"/p2med-*.whl
cp -r "$here/p2med" "$here/pyproject.toml" "$here/README.md" "$(mktemp -d "$folder/source.XXXX")"
"$python" -m pip wheel -q --no-deps -w "$wheels" "$folder"/source.*
rm -r "$folder"/source.*
"$python" -m pip list --format freeze --exclude p2med | grep -v '+' >"$folder/versions.txt"
"$python" -m pip download -q --only-binary :all: --python-version 3.11 --implementation cp \
    --platform manylinux_2_28_$machine --platform manylinux_2_27_$machine --platform manylinux_2_17_$machine \
    --platform manylinux2014_$machine -c "$folder/versions.txt" -d "$wheels" "$wheels"/p2med-*.whl

# 2. Its disk.
if ! [ -e "$root/ready" ]; then
    debootstrap --arch="$architecture" --variant=minbase \
        --include="python3,python3-venv,linux-image-cloud-$architecture" bookworm "$root"
    chroot "$root" python3 -m venv /opt/p2med
    touch "$root/ready"
fi
rm -rf "$root/opt/wheels" && cp -r "$wheels" "$root/opt/wheels"
chroot "$root" /opt/p2med/bin/python -m pip uninstall -q -y p2med
chroot "$root" /opt/p2med/bin/python -m pip install -q --no-index --find-links /opt/wheels p2med
rm -r "$root/opt/wheels"
cp "$here/recipes/demo.yaml" "$root/opt/demo.yaml"
cat >"$root/second_machine" <<END
#!/bin/sh
export PATH=/opt/p2med/bin:/usr/bin:/bin:/usr/sbin LANG=C.UTF-8 HOME=/root P2MED_PATIENCE=50
mount -t proc proc /proc; mount -t tmpfs tmpfs /tmp; mkdir -p /dev/shm; mount -t tmpfs tmpfs /dev/shm
uname -srm; grep -m1 -E 'model name|CPU part' /proc/cpuinfo; python -V
p2med run /opt/demo.yaml --to mix --runs /runs --set synth.patients=$patients 2>&1 | cat
cd /runs/demo && find . -type f ! -name 'datasheet.*' | LC_ALL=C sort | xargs sha256sum >/hashes
sync; echo o >/proc/sysrq-trigger; sleep 60
END
chmod +x "$root/second_machine"
rm -f "$disk" && truncate -s 6G "$disk" && mke2fs -q -t ext4 -d "$root" "$disk"

# 3. Run there and here; compare.
qemu-system-$machine -machine $board -accel tcg,thread=multi -cpu "$cpu" -smp 2 -m 2560 -nic none -display none \
    -no-reboot -serial stdio -drive file="$disk",format=raw,if=virtio \
    -kernel "$(echo "$root"/boot/vmlinuz-*)" -initrd "$(echo "$root"/boot/initrd.img-*)" \
    -append "root=/dev/vda rw console=$console quiet init=/second_machine"
debugfs -R "dump /hashes $folder/there.txt" "$disk" 2>/dev/null
rm -rf "$folder/here" && cd "$here"
"$python" -m p2med.cli run recipes/demo.yaml --to mix --runs "$folder/here" --set synth.patients="$patients"
(cd "$folder/here/demo" && find . -type f ! -name 'datasheet.*' | LC_ALL=C sort | xargs sha256sum) >"$folder/here.txt"
echo "$(wc -l <"$folder/here.txt") files here, $(wc -l <"$folder/there.txt") there; that differ or are missing:"
diff "$folder/here.txt" "$folder/there.txt" | awk '/^[<>]/ {print $3}' | sort -u
