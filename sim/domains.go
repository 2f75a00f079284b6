// SPDX-License-Identifier: Apache-2.0

package sim

import "chronik/sim/keyed"

// What the decisions of a world are about. The numbers are part of what a seed means: add at the end, never renumber.
const (
	_ keyed.Domain = iota + 1 // what a plan draws
	domainLink
	domainDuplicate
	domainOp
	domainDiskCrash
	domainDiskDir
	domainRaft
	domainStep
	domainCut
	domainConn
	domainClient
	domainRestart
	domainClock
	domainTarget
	domainFailedSync
	domainHeal
	domainLost
	domainMembers
	domainLeave
	domainMember
	domainRot
	domainAttack
	domainTask
	domainLie
	domainAsk
	domainQuiz
	domainCheck
	domainClogs
	domainDamage
	domainTransactor
	domainMisled
	domainExam
)
